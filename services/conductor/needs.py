"""What a plan needs done next: pure functions from the plan and the commits to units."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.conductor.answers import answers_of
from services.conductor.commits import Accepted
from shared.artifacts import CommitRef, Manifest
from shared.budget import PAID_KINDS
from shared.kinds import row_count
from shared.llm.batches import MOST_REQUESTS
from shared.plan.model import Plan, Stage
from shared.units import Shard, Unit, cut, shard_key


@dataclass(frozen=True)
class Need:
    """A stage whose inputs are there: the units still to be done, and what its shards have done already; `answers` is
    what became of their requests."""

    stage: Stage
    units: tuple[Unit, ...]
    rows: int | None = None
    done_rows: int = 0
    done_usd: float = 0.0
    answers: Mapping[str, Any] | None = None


def paid_by(experiment: str, manifest: Manifest) -> float:
    """Dollars that an experiment paid for a committed stage or shard: what others, or other stages, had asked before
    cost it nothing."""
    by_experiment = manifest.metrics.get("usd_by_experiment")
    if by_experiment is None:
        return float(manifest.metrics.get("usd_paid", manifest.cost.usd))
    return float(by_experiment.get(experiment, 0.0))


def is_ready(stage: Stage, accepted: Accepted) -> bool:
    """Whether all inputs are committed."""
    return all(source in accepted.refs for source in stage.inputs.values())


def needs(
    plan: Plan, accepted: Accepted, experiment: str, generation: int, shard_rows: int, bounded: bool = False
) -> list[Need]:
    """The uncommitted stages whose inputs are there, with their units, in the plan's order. `bounded`: there is a
    budget, which workers must keep."""
    return [
        _need(stage, accepted, experiment, generation, shard_rows, bounded)
        for key, stage in plan.stages.items()
        if key not in accepted.refs and is_ready(stage, accepted)
    ]


def _need(stage: Stage, accepted: Accepted, experiment: str, generation: int, shard_rows: int, bounded: bool) -> Need:
    inputs = {name: accepted.refs[source] for name, source in stage.inputs.items()}
    whole = Unit(
        key=stage.key,
        kind=stage.kind,
        params=stage.params,
        options=stage.options | ({"budget": True} if bounded and stage.kind in PAID_KINDS else {}),
        inputs=inputs,
        experiment=experiment,
        generation=generation,
        stale=accepted.stale.get(stage.key, ()),
    )
    manifests = {name: accepted.manifests[source] for name, source in stage.inputs.items()}
    rows = row_count(stage.kind, stage.params, manifests)
    if stage.options.get("mode") == "batch":
        # A batch may be as large as the provider takes it; it is cut there (shared/llm/batches.py).
        shard_rows = max(shard_rows, MOST_REQUESTS)
    if rows is None or rows <= shard_rows:
        return Need(stage, (whole,), rows)
    return _sharded(whole, stage, accepted, rows, shard_rows)


def _sharded(whole: Unit, stage: Stage, accepted: Accepted, rows: int, shard_rows: int) -> Need:
    shards = cut(rows, shard_rows)
    found: dict[Shard, tuple[CommitRef, Manifest]] = {}
    for shard in shards:
        if commit := accepted.shard(shard_key(stage.key, shard), whole.inputs):
            found[shard] = commit
    usd = sum(paid_by(whole.experiment, manifest) for _, manifest in found.values())
    answers = answers_of(manifest.metrics for _, manifest in found.values())
    if len(found) == len(shards):
        gather = whole.model_copy(update={"parts": tuple(found[shard][0] for shard in shards)})
        return Need(stage, (gather,), rows, rows, usd, answers)
    units = tuple(whole.model_copy(update={"shard": shard, "stale": ()}) for shard in shards if shard not in found)
    return Need(stage, units, rows, sum(shard.stop - shard.start for shard in found), usd, answers)
