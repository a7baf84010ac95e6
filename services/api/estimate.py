"""POST /v1/experiments/plan: everything that is looked up for an estimate, put together."""

from __future__ import annotations

from typing import Any

from services.api.committed import commits_of
from services.api.ledgered import look_up
from services.api.past import read_history
from services.api.pilots import find_pilot
from shared.estimate import Known, preview
from shared.estimate.answered import asked_of
from shared.estimate.power import design_of, forecast
from shared.plan import plan
from shared.resolve import Resolved, prompt_splits
from shared.settings import Settings
from shared.specbase import DeclaredDataset
from shared.store import ObjectStore


def estimate(resolved: Resolved, store: ObjectStore, settings: Settings) -> dict[str, Any]:
    """What an experiment would do and cost. Raises `Outage`."""
    planned, spec = plan(resolved), resolved.parsed
    done = commits_of(store, planned.stages)
    todo = [stage for key, stage in planned.stages.items() if key not in done]
    texts = prompt_texts(resolved, store)
    asked = asked_of(planned, todo, resolved.counts, texts)
    found = look_up(store, settings.data_dir, asked)
    known = Known(
        history=read_history(store, planned, resolved.counts, done),
        asked=asked,
        in_ledger=found.counts,
        unknown=found.unknown,
        prompts={split: sum(map(len, rows)) / len(rows) for split, rows in texts.items() if rows},
    )
    shown = preview(spec.name, planned, resolved.counts, done, known, spec.budget_usd)
    design = design_of(spec, resolved.counts)
    return {**shown, "power": forecast(design, find_pilot(store, design))}


def prompt_texts(resolved: Resolved, store: ObjectStore) -> dict[str, list[str]]:
    """The prompts of each split by rank; nothing where they are only declared."""
    spec = resolved.parsed
    if isinstance(spec.prompts.source, DeclaredDataset):
        return {}
    texts: dict[str, list[str]] = {}
    for prompt in prompt_splits(spec, resolved.datasets, store).prompts:
        texts.setdefault(prompt.split, []).append(prompt.prompt)
    return texts
