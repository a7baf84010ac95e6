"""Which requests a plan's stages will make, as far as that is known beforehand, and which of them are made twice.

A teacher's follow from the prompts; a critic's or judge's from the completions that it compares, once those are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shared.asking import read_ask
from shared.asking.questions import question
from shared.canonical import content_key
from shared.errors import StageError
from shared.estimate.asks import asked_model, members, prompt_range, requests_a_row, stage_rows
from shared.llm.chat import ChatRequest, request_key, user_request
from shared.llm.entries import Scope
from shared.pairs import items
from shared.plan.model import Plan, Stage
from shared.templates import Template

LATER = "its requests follow from stages that are not done yet"
DECLARED = "its prompts are declared, not there"
UNUSED = ("members/", "rewards/", "towards")
"""Inputs of a critic from which no request to it follows."""


@dataclass(frozen=True)
class Input:
    """The rows of a stage, all of them, or those of some prompts only."""

    rows: pa.Table
    whole: bool = True


Inputs = Callable[[str], Input | str]
"""What is there of a stage, by its key; a text says why nothing is."""
Uploaded = Callable[[str], Template | None]
"""A template by its content hash."""


@dataclass(frozen=True)
class Asked:
    """The requests of one stage (or of one member of an ensemble).

    `repeated` of them are made by an earlier stage of the plan too. The others follow from `prompts`, or have the keys
    `hashed`; `later` of them, at most, cannot be known yet, and `reason` says why.
    """

    scope: str
    model: Mapping[str, Any]
    repeated: int = 0
    prompts: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    later: int = 0
    reason: str = ""

    @property
    def known(self) -> int:
        """How many requests of no earlier stage are known."""
        return len(self.prompts) + len(self.hashed)

    @property
    def requests(self) -> int:
        """All of its requests, at most."""
        return self.repeated + self.known + self.later

    def keys(self) -> list[str]:
        """The ledger's keys of the known requests of no earlier stage."""
        made = (request_key(self.model, user_request(self.model, prompt)) for prompt in self.prompts)
        return [*self.hashed, *made]


def nothing_there(key: str) -> str:
    """The `Inputs` of who knows no stage's rows."""
    return LATER


def asked_of(
    plan: Plan,
    todo: Iterable[Stage],
    counts: Mapping[str, int],
    texts: Mapping[str, Sequence[str]],
    inputs: Inputs = nothing_there,
    uploaded: Uploaded = lambda sha256: None,
    most: int = 100_000,
) -> dict[str, Asked]:
    """What each stage of `todo` (in the plan's order) asks, by its key; an ensemble's members by theirs.

    `texts` has the prompts of a split by rank. Of critics and judges no more than `most` requests are made out.
    """
    found: dict[str, Asked] = {}
    ranks: dict[str, set[int]] = {}
    keys: dict[str, set[str]] = {}
    for stage in (one for whole in todo for one in (members(whole) or [whole])):
        model = asked_model(stage)
        if model is None:
            continue
        if stage.kind == "teach":
            taken = ranks.setdefault(content_key([model, stage.params["split"]]), set())
            found[stage.key] = _taught(stage, model, counts, texts, taken)
            continue
        bound = stage_rows(stage, plan, counts) * requests_a_row(stage, plan)
        scope = Scope.of(model).name
        if bound > most:
            reason = "so many requests of critics and judges are not made out beforehand"
            found[stage.key] = Asked(scope, model, later=bound, reason=reason)
            continue
        one = _compared(stage, model, plan, counts, bound, inputs, uploaded)
        most -= one.known
        taken_keys = keys.setdefault(scope, set())
        fresh = [key for key in dict.fromkeys(one.hashed) if key not in taken_keys]
        taken_keys.update(fresh)
        repeated = len(one.hashed) - len(fresh)
        found[stage.key] = Asked(scope, model, repeated, (), tuple(fresh), one.later, one.reason)
    return found


def _taught(
    stage: Stage,
    model: Mapping[str, Any],
    counts: Mapping[str, int],
    texts: Mapping[str, Sequence[str]],
    taken: set[int],
) -> Asked:
    """A teacher's requests; `taken` are the ranks of the prompts that earlier stages asked it about."""
    first, last = prompt_range(stage, counts) or (0, 0)
    fresh = [rank for rank in range(first, last) if rank not in taken]
    taken.update(fresh)
    scope, split, repeated = Scope.of(model).name, stage.params["split"], last - first - len(fresh)
    if split not in texts:
        return Asked(scope, model, repeated, later=len(fresh), reason=DECLARED)
    return Asked(scope, model, repeated, tuple(texts[split][rank] for rank in fresh))


def _compared(
    stage: Stage,
    model: Mapping[str, Any],
    plan: Plan,
    counts: Mapping[str, int],
    bound: int,
    inputs: Inputs,
    uploaded: Uploaded,
) -> Asked:
    """A critic's or judge's requests, as far as the completions that it compares are there."""
    scope, ask = Scope.of(model).name, read_ask(stage.params)
    given = {name: inputs(key) for name, key in stage.inputs.items() if not name.startswith(UNUSED)}
    there = {name: one for name, one in given.items() if isinstance(one, Input)}
    template = None if ask.pinned is None else uploaded(ask.pinned)
    if len(there) < len(given) or (ask.pinned is not None and template is None):
        why = next((one for one in given.values() if isinstance(one, str)), LATER)
        return Asked(scope, model, later=bound, reason=why)
    try:
        pairs = items(stage.kind, stage.params, {name: one.rows for name, one in there.items()})
    except StageError as error:
        return Asked(scope, model, later=bound, reason=str(error))
    later = 0
    partial = [set(one.rows["prompt_id"].to_pylist()) for one in there.values() if not one.whole]
    if partial:
        known = set.intersection(*partial)
        compared = {pair.prompt_id for pair in pairs if pair.prompt_id in known}
        pairs = [pair for pair in pairs if pair.prompt_id in compared]
        later = (stage_rows(stage, plan, counts) - len(compared)) * requests_a_row(stage, plan)
    references = there.get("reference_answers")
    answers = {} if references is None else completions(references.rows)
    requests: list[ChatRequest] = []
    for pair in pairs:
        requests += question(ask, model, pair, template, answers.get(pair.prompt_id)).requests
    keys = tuple(request_key(model, request) for request in requests)
    return Asked(scope, model, hashed=keys, later=max(0, later), reason=LATER if later else "")


def completions(rows: pa.Table) -> dict[str, str]:
    """Completions by the ids of their prompts."""
    return dict(zip(rows["prompt_id"].to_pylist(), rows["completion"].to_pylist(), strict=True))
