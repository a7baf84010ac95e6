"""What the report must know of an experiment's critics: who labelled which stage, and what their models wrote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from shared.asking import OF_PROTOCOLS
from shared.llm.providers.base import UNKNOWN_PRICE
from shared.plan.tuning import judged_on_dev
from shared.spec.matrix import cells
from shared.spec.model import Spec

if TYPE_CHECKING:
    from shared.plan.model import Stage

FIELDS = {"label": "critic", "judge": "judge"}
"""The kinds of stages that label pairs, and the param that says who does."""
WHO = ("provider", "base_url", "model")
"""The parts of an identity that say which model it is, however it is asked."""


def critics_of(spec: Spec) -> list[str]:
    """The names of all critics and judges that can be asked about a given pair, each once, in all cells of a matrix.

    Recorded labels cannot.
    """
    names: dict[str, None] = {}
    for cell in cells(spec).values():
        names |= {arm.rl.critic: None for arm in cell.arms.values() if arm.rl is not None and arm.rl.critic is not None}
        names |= {judge: None for one in cell.evaluations.values() if (judge := one.models().get("judge")) is not None}
    return [name for name in names if not spec.models[name].records_preferences]


def critic_params(spec: Spec, stages: Mapping[str, Stage]) -> dict[str, Any]:
    """Every critic, judge and recorded labeller by its name in the spec, with its stages by role.

    A member of an ensemble has the role `member` in the ensemble's stages; `votes` says which vote there is its own.
    What it says of null completions, or of trials on dev, is no part of its card: no arm has such answers.
    `sides` has the stages whose pairs are one model's completions against another's, and what sort of pairs they are.
    """
    found: dict[str, Any] = {}
    trials = judged_on_dev(stages.values())
    for stage in stages.values():
        who = stage.params.get(FIELDS.get(stage.kind, ""))
        rated = stage.params.get("ask", {}).get("kind") in OF_PROTOCOLS
        if who is None or rated or stage.key in trials or _of_nulls(stage, stages):
            # A card is about comparisons: there are none where a protocol has single answers rated.
            continue
        name = stage.options["name"]
        _add(found, spec, stages, stage, name, who, _role(stage))
        for place, part in enumerate(spec.models[name].parts):
            _add(found, spec, stages, stage, part, who["members"][place]["critic"], "member")
            found[part].setdefault("votes", {})[stage.key] = place
    return found


def _add(
    found: dict[str, Any],
    spec: Spec,
    stages: Mapping[str, Stage],
    stage: Stage,
    name: str,
    who: Mapping[str, Any],
    role: str,
) -> None:
    entry = spec.models[name]
    # Once for each name: it looks at every stage, and a critic may have thousands.
    if name not in found:
        found[name] = {
            "provider": entry.provider,
            "gold": entry.is_gold,
            "recorded": entry.records_preferences,
            "stages": {},
            "own": [key for key, other in stages.items() if _wrote(who, other)],
        }
    one = found[name]
    if entry.given_price == UNKNOWN_PRICE:
        one["unpriced"] = True
    if entry.parts:
        one["members"] = list(entry.parts)
    one["stages"].setdefault(role, []).append(stage.key)
    if (sides := _sides(stage, stages)) is not None:
        one.setdefault("sides", {})[stage.key] = sides


def _sides(stage: Stage, stages: Mapping[str, Stage]) -> str | None:
    """What sort of pairs a stage compares, where that is not the usual one of its kind."""
    if stage.params.get("pairs", "on_policy") != "on_policy":
        return str(stage.params["pairs"])
    other = stage.inputs.get("reference")
    return "arms" if other is not None and stages[other].kind in {"sample", "best"} else None


def _role(stage: Stage) -> str:
    if stage.kind == "judge":
        return "judge"
    return {"recorded": "labels", "given": "check"}.get(stage.params["pairs"], "critic")


def _of_nulls(stage: Stage, stages: Mapping[str, Stage]) -> bool:
    """Whether null completions were judged."""
    samples = stages.get(stage.inputs.get("samples", ""))
    return samples is not None and samples.kind == "teach" and samples.params["model"]["provider"] == "null"


def _wrote(who: Mapping[str, Any], stage: Stage) -> bool:
    """Whether a stage has completions by the model of this identity."""
    if stage.kind != "teach" or "model" not in who:
        return False
    writer = stage.params["model"]
    return all(writer.get(part) == who.get(part) for part in WHO)
