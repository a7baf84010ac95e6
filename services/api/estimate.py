"""POST /v1/experiments/plan: everything that is looked up for an estimate, put together."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from services.api import ledgered
from services.api.committed import commits_of
from services.api.inputs import CommittedInputs
from services.api.ledgered import Ledgered, look_up
from services.api.past import read_history
from services.api.pilots import find_pilot
from shared.errors import PermanentError
from shared.estimate import Known, preview
from shared.estimate.answered import asked_of
from shared.estimate.power import design_of, forecast
from shared.families import family_warning
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.base import DeclaredDataset
from shared.spec.model import Spec
from shared.spec.resolve import Resolved, prompt_splits
from shared.splits import SplitPrompt
from shared.store import ObjectStore
from shared.templates import Template
from shared.uploaded_templates import read_template


def estimate(resolved: Resolved, store: ObjectStore, settings: Settings) -> dict[str, Any]:
    """What an experiment would do and cost. Raises `Outage`."""
    planned = plan(resolved)
    done = commits_of(store, planned.stages)
    if (spec := resolved.bounded) is None:
        return {**preview(str(resolved.spec["name"]), planned, resolved.counts, done), "power": None, "warnings": []}
    todo = [stage for key, stage in planned.stages.items() if key not in done]
    prompts = prompts_of(resolved, store)
    texts = {split: [one.prompt for one in rows] for split, rows in prompts.items()}

    def uploaded(sha256: str) -> Template | None:
        with suppress(PermanentError):
            return read_template(store, sha256)
        return None

    with Ledgered(store, settings.data_dir) as ledger:
        inputs = CommittedInputs(store, planned, done, prompts, resolved.counts, ledger)
        asked = asked_of(planned, todo, resolved.counts, texts, inputs, uploaded, ledgered.MOST_KEYS)
        found = look_up(ledger, asked)
    known = Known(
        history=read_history(store, planned, resolved.counts, done),
        asked=asked,
        in_ledger=found.counts,
        unknown=found.unknown,
        prompts={split: sum(map(len, rows)) / len(rows) for split, rows in texts.items() if rows},
    )
    shown = preview(spec.name, planned, resolved.counts, done, known, spec.budget_usd)
    design = design_of(spec, resolved.counts)
    return {**shown, "power": forecast(design, find_pilot(store, design)), "warnings": warnings_of(spec)}


def warnings_of(spec: Spec) -> list[str]:
    """What a person should know before an experiment is started."""
    found = family_warning(spec)
    return [] if found is None else [found]


def prompts_of(resolved: Resolved, store: ObjectStore) -> dict[str, list[SplitPrompt]]:
    """The prompts of each split by rank; nothing where they are only declared."""
    spec = resolved.parsed
    if isinstance(spec.prompts.source, DeclaredDataset):
        return {}
    found: dict[str, list[SplitPrompt]] = {}
    for prompt in prompt_splits(spec, resolved.datasets, store).prompts:
        found.setdefault(prompt.split, []).append(prompt)
    return found
