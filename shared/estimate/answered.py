"""Which requests of a plan are made twice, and which are answered in the ledger: known where the prompts are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.canonical import content_key
from shared.estimate.asks import asked_model, prompt_range
from shared.llm.chat import request_key, user_request
from shared.llm.entries import Scope
from shared.plan import Plan, Stage

LATER = "its requests follow from stages that are not done yet"
DECLARED = "its prompts are declared, not there"


@dataclass(frozen=True)
class Asked:
    """The requests of one stage; `repeated` of them are made by an earlier stage of the plan too.

    `prompts` are those of the others. They are None where the requests cannot be known yet, which `reason` then says.
    """

    scope: str
    model: Mapping[str, Any]
    repeated: int = 0
    prompts: tuple[str, ...] | None = None
    reason: str = ""

    def keys(self) -> list[str]:
        """The ledger's keys of the requests for `prompts`."""
        return [request_key(self.model, user_request(self.model, prompt)) for prompt in self.prompts or ()]


def asked_of(
    plan: Plan, todo: Iterable[Stage], counts: Mapping[str, int], texts: Mapping[str, Sequence[str]]
) -> dict[str, Asked]:
    """What each stage of `todo` (in the plan's order) asks, by its key. `texts` has the prompts of a split by rank."""
    found: dict[str, Asked] = {}
    taken: dict[str, set[int]] = {}
    for stage in todo:
        model = asked_model(stage)
        if model is None:
            continue
        scope = Scope.of(model).name
        ranks = prompt_range(stage, counts) if stage.kind == "teach" else None
        if ranks is None:
            found[stage.key] = Asked(scope, model, reason=LATER)
            continue
        split = stage.params["split"]
        before = taken.setdefault(content_key([model, split]), set())
        fresh = [rank for rank in range(*ranks) if rank not in before]
        before.update(fresh)
        repeated = ranks[1] - ranks[0] - len(fresh)
        if split in texts:
            found[stage.key] = Asked(scope, model, repeated, tuple(texts[split][rank] for rank in fresh))
        else:
            found[stage.key] = Asked(scope, model, repeated, reason=DECLARED)
    return found
