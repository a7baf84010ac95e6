"""How long an endpoint takes for what it is asked: at the spec's limits, or within a batch's day."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.estimate.quantity import Quantity
from shared.plan.model import Plan, Stage

BATCH_HOURS = 24.0
"""Within which a batch is answered."""
FIRST_TOKEN, TOKENS_A_SECOND = 1.0, 50.0
"""How long one answer takes, where that is what holds a limited number of requests in flight up."""
ASSUMPTION = (
    f"under a limit of concurrency, an answer after {FIRST_TOKEN:g} s and {TOKENS_A_SECOND:g} tokens a second; a batch "
    f"within {BATCH_HOURS:g} h"
)


@dataclass(frozen=True)
class Asking:
    """What a stage sends, and the tokens of it."""

    stage: Stage
    sent: int
    input: Quantity
    output: Quantity


def in_batches(stage: Stage) -> bool:
    """Whether a stage asks through a Batch API."""
    return stage.options.get("mode") == "batch"


def model_hours(plan: Plan, asking: Sequence[Asking]) -> float | None:
    """Hours in which one model answers all of it; None where the spec gives no limits.

    In batch mode, which has no limits but its day: a day for each batch that waits for another's answers.
    """
    if in_batches(asking[0].stage):
        return BATCH_HOURS * _longest(plan, {one.stage.key.partition("/")[0] for one in asking})
    limits = asking[0].stage.options.get("limits") or {}
    sent = sum(one.sent for one in asking)
    tokens = sum(one.input.expected + one.output.expected for one in asking)
    seconds = sent * FIRST_TOKEN + sum(one.output.expected for one in asking) / TOKENS_A_SECOND
    sizes = (
        (sent, "requests_per_minute", 60),
        (tokens, "tokens_per_minute", 60),
        (seconds, "concurrency", 3600),
    )
    found = [size / limits[name] / an_hour for size, name, an_hour in sizes if limits.get(name)]
    return max(found) if found else None


def _longest(plan: Plan, keys: Collection[str]) -> int:
    """The most of `keys` that lie on one path through the plan."""
    depth: dict[str, int] = {}
    for key, stage in plan.stages.items():
        before = max((depth.get(source, 0) for source in stage.inputs.values()), default=0)
        depth[key] = before + (key in keys)
    return max(depth.values(), default=0)
