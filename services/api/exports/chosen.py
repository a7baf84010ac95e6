"""A step whose settings were chosen on dev: which training it was, and what was tried."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.api.exports.markdown import table
from shared.artifacts import CommitRef, Manifest
from shared.plan.tuning import CHECKPOINT, CHOOSE
from shared.trials import text_of, words_of


@dataclass(frozen=True)
class Tried:
    """All trials of a step, as its stage `choose` left them."""

    prompts: int
    seeds: int
    trials: Sequence[Mapping[str, Any]]


def tried(manifest: Manifest) -> Tried | None:
    """None of a step in which nothing was chosen."""
    if manifest.kind != CHOOSE:
        return None
    metrics = manifest.metrics
    return Tried(metrics["dev_prompts"], metrics["seeds"], metrics["trials"])


def source(manifest: Manifest, params: Mapping[str, Any]) -> CommitRef | None:
    """The commit that a stage's model was taken from; None where it was trained there. `params` are the stage's."""
    if manifest.kind == CHOOSE:
        return manifest.inputs[f"model/{manifest.metrics['chosen']}/{params['seed']}"]
    return manifest.inputs["training"] if manifest.kind == CHECKPOINT else None


def trials_table(found: Tried) -> str:
    """A row a trial, in Markdown."""
    seeds = "" if found.seeds == 1 else f" and {found.seeds} seeds"
    head = ["setting", f"dev score ({found.prompts} prompts{seeds})", "95% interval", ""]
    return table(head, ([words_of(one), _score(one), _interval(one), _said(one)] for one in found.trials))


def _score(trial: Mapping[str, Any]) -> str:
    return "–" if trial["estimate"] is None else f"{trial['estimate']:.4g}"


def _interval(trial: Mapping[str, Any]) -> str:
    return "–" if trial["interval"] is None else " to ".join(text_of(round(end, 2)) for end in trial["interval"])


def _said(trial: Mapping[str, Any]) -> str:
    return "chosen" if trial["chosen"] else trial["out"] or ""
