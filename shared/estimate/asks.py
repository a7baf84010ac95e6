"""Which stages ask an endpoint, of how many rows, with how many requests at most."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from shared.asking import read_ask
from shared.llm.providers.ensemble import MEMBERS
from shared.plan.model import Plan, Stage
from shared.protocols.arena import DRAWN
from shared.splits import rows_between

ASKED = {"teach": "model", "label": "critic", "judge": "judge"}
"""The kinds that may ask a model, and the param that says which."""


def asked_model(stage: Stage) -> Mapping[str, Any] | None:
    """The identity of the model that a stage asks over HTTP; None where it asks none, or several (an ensemble's)."""
    if stage.kind not in ASKED or "limits" not in stage.options:
        return None
    model: Mapping[str, Any] | None = stage.params.get(ASKED[stage.kind])
    return model


def stage_rows(stage: Stage, plan: Plan, counts: Mapping[str, int]) -> int:
    """How many prompts a stage works on. `counts` are prompts by split."""
    counts = {**counts, **_sizes_of_questions(stage, plan)}
    if stage.kind == "prompts":
        return sum(counts[split] for split in ("train", "dev", "eval"))
    if (found := prompt_range(stage, counts)) is not None:
        return found[1] - found[0]
    for source in ("samples", "preferences", "demonstrations", "likelihoods", "completions"):
        if source in stage.inputs:
            return _of_drawn(stage, stage_rows(plan.stages[stage.inputs[source]], plan, counts))
    return 0


def _sizes_of_questions(stage: Stage, plan: Plan) -> Mapping[str, int]:
    """The sizes of the splits where a stage's prompts are not the experiment's but an evaluation's own questions, which
    train nothing; empty where they are the experiment's."""
    source = plan.stages.get(stage.inputs.get("prompts", ""), stage)
    if source.kind != "prompts" or source.params.get("train") != 0:
        return {}
    return {split: int(source.params[split]) for split in ("train", "dev", "eval")}


def _of_drawn(stage: Stage, rows: int) -> int:
    """Of so many prompts, those that a pair of an arena is drawn on: its share, so that the sum over pairs is right."""
    drawn = stage.params.get(DRAWN)
    return rows if drawn is None else math.ceil(rows * drawn["per_prompt"] / drawn["of"])


def prompt_range(stage: Stage, counts: Mapping[str, int]) -> tuple[int, int] | None:
    """The ranks [first, last) of its split that a stage works on, where its params say."""
    if stage.kind == "prompts" or "split" not in stage.params:
        return None
    return rows_between(counts[stage.params["split"]], stage.params.get("start", 0.0), stage.params.get("stop", 1.0))


def requests_a_row(stage: Stage, plan: Plan) -> int:
    """For each prompt one of a teacher; of a critic or judge one for each order, or each completion that it scores.

    About identical completions nobody is asked.
    """
    if asked_model(stage) is None:
        return 0
    if stage.kind == "teach":
        return 1
    pairs, completions = _compared_a_row(stage, plan)
    if read_ask(stage.params).sort == "single":
        return completions
    return pairs * (2 if stage.params.get("order", "both") == "both" else 1)


def members(stage: Stage) -> list[Stage]:
    """What the members of an ensemble do in a stage, each as a stage of its own, whose key is in no plan; nothing where
    no ensemble is asked."""
    role = ASKED.get(stage.kind, "")
    given = (stage.params.get(role) or {}).get("members", [])
    rest = {name: value for name, value in stage.params.items() if name != "ask"}
    return [
        replace(
            stage,
            key=f"{stage.key}/{number}",
            params={**rest, **params, role: params["critic"]},
            inputs=_own_inputs(stage, f"{MEMBERS}{number}/"),
            options=options,
        )
        for number, (params, options) in enumerate(zip(given, stage.options.get("members", []), strict=False))
    ]


def _own_inputs(stage: Stage, prefix: str) -> dict[str, str]:
    """A member's inputs: the stage's, and its own under the names that it knows."""
    common = {name: key for name, key in stage.inputs.items() if not name.startswith(MEMBERS)}
    return common | {name.removeprefix(prefix): key for name, key in stage.inputs.items() if name.startswith(prefix)}


def _compared_a_row(stage: Stage, plan: Plan) -> tuple[int, int]:
    """Pairs that are compared for each prompt, and the completions in them."""
    if stage.kind != "label" or stage.params["pairs"] == "given":
        return 1, 2
    samples = int(plan.stages[stage.inputs["samples"]].params["n"])
    if stage.params["pairs"] == "policy_vs_teacher":
        return samples, samples + 1
    if stage.params.get("choose") in {"all", "best_worst"}:
        return samples * (samples - 1) // 2, samples
    return 1, 2
