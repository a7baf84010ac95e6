"""What was tried on dev and what was chosen, from the stages that chose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.analyst.params import ReportParams
from shared.artifacts import Artifact, Manifest
from shared.plan.tuning import CHOOSE


@dataclass(frozen=True)
class Trial:
    """One of a step's: its settings, which of its training's checkpoints it is (None where there is one), its mean dev
    score with the 95% interval, why it was out, and whether it was chosen."""

    settings: Mapping[str, Any]
    checkpoint: int | None
    of: int | None
    estimate: float | None
    interval: tuple[float, float] | None
    out: str | None
    chosen: bool


@dataclass(frozen=True)
class Tuned:
    """One step of some arms, and all that was tried for it; means over `seeds` seeds and `prompts` dev prompts."""

    arms: tuple[str, ...]
    step: str
    prompts: int
    seeds: int
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Tuning:
    """Every step that is chosen already. `counts` are trials by arm, starts not among them."""

    evaluation: str
    counts: Mapping[str, int]
    unequal: bool
    steps: tuple[Tuned, ...]


def read_tuning(params: ReportParams, artifacts: Mapping[str, Artifact]) -> Tuning | None:
    """None where the spec sweeps nothing."""
    if params.tuning is None:
        return None
    arms: dict[str, dict[str, None]] = {}
    chosen: dict[str, tuple[str, Manifest]] = {}
    for row in params.training:
        # All seeds choose the same by the same scores.
        artifact = artifacts.get(row.input) if row.seed == params.seeds[0] else None
        if artifact is not None and artifact.manifest.kind == CHOOSE:
            arms.setdefault(artifact.key, {})[row.arm] = None
            chosen.setdefault(artifact.key, (row.step, artifact.manifest))
    steps = tuple(_tuned(tuple(arms[key]), step, manifest.metrics) for key, (step, manifest) in chosen.items())
    counts = params.checks.tuning_trials
    return Tuning(params.tuning.evaluation, counts, len(set(counts.values())) > 1, steps)


def _tuned(arms: tuple[str, ...], step: str, metrics: Mapping[str, Any]) -> Tuned:
    trials = tuple(
        Trial(**{**row, "interval": None if row["interval"] is None else tuple(row["interval"])})
        for row in metrics["trials"]
    )
    return Tuned(arms, step, metrics["dev_prompts"], metrics["seeds"], trials)
