"""One experiment as the conductor holds it: its plan, its control records and what was last said of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.conductor.commits import Accepted, Commits
from services.conductor.needs import Need, needs
from shared.budget import Budget
from shared.experiments import PREFIX, Control, read_control, read_json, read_resolved
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.spec.model import Spec
from shared.store import ObjectStore


@dataclass
class Experiment:
    """An experiment that has not come to its final state."""

    id: str
    head: Mapping[str, Any]
    plan: Plan
    control: Control
    spec: Spec | None
    summary: dict[str, Any] | None = None
    needed: dict[str, Need] = field(default_factory=dict)
    accepted: Accepted | None = None
    said_scores: int = 0

    @property
    def budget(self) -> Budget | None:
        """What it may spend."""
        return None if self.spec is None else self.control.raised(self.spec)

    def derive(self, commits: Commits, shard_rows: int) -> Accepted:
        """Work out from the commits what is done and what is needed next."""
        self.accepted = Accepted(self.plan, commits)
        bounded = self.budget is not None
        found = needs(self.plan, self.accepted, self.id, self.control.generation, shard_rows, bounded)
        self.needed = {need.stage.key: need for need in found}
        return self.accepted

    def wanted(self) -> list[Need]:
        """The needs that this experiment still pursues, in its present generation."""
        if self.control.cancelled:
            return []
        failures = self.control.failures or {}
        return [need for key, need in self.needed.items() if key not in failures]


def load(store: ObjectStore, id: str) -> Experiment | None:
    """Read an experiment; None if its folder is not complete or it is final."""
    head = read_json(store, f"{PREFIX}{id}/experiment.json")
    resolved = read_resolved(store, id)
    if head is None or resolved is None or store.exists(f"{PREFIX}{id}/final.json"):
        return None
    return Experiment(id, head, plan(resolved), read_control(store, id), resolved.bounded)
