"""An experiment's stages as the page groups them: what all arms share, then each arm's own, in the plan's order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import KINDS
from services.api.planned import Planned
from shared.kinds import KINDS as ALL_KINDS
from shared.kinds import queue_of

Row = Mapping[str, Any]
NAMED = 3
"""How many arms a group is named after."""
RANK = {"failed": 0, "waiting": 1, "running": 2, "ready": 3, "pending": 4, "cancelled": 5, "committed": 6}

TABLES = {
    "judge": "Scores and judgements",
    "sample": "Samples",
    "label": "Preference labels",
    "teach": "Demonstrations",
    "prompts": "Prompts",
    "score": "Likelihoods",
    "reward": "Rewards",
    "reference": "Log-probabilities",
    "best": "Best samples",
    "sft": "Training curves",
    "rl": "Training curves",
    "reward_model": "Training curves",
    "pretrain": "Training curves",
    "choose": "Trials on dev",
    "bandit": "Policies",
}


@dataclass(frozen=True)
class StageView:
    """One stage. `share` is how much of it is done, 0 to 1."""

    key: str
    kind: str
    name: str
    about: str
    queue: str
    state: str
    reused: bool
    done: float
    total: float
    note: str
    error: str
    workers: str
    usd: float

    @property
    def share(self) -> float:
        if self.state == "committed":
            return 1.0
        return min(1.0, self.done / self.total) if self.total else 0.0


@dataclass(frozen=True)
class Group:
    """The stages that the same arms need."""

    name: str
    stages: tuple[StageView, ...]

    @property
    def done(self) -> int:
        return sum(stage.state == "committed" for stage in self.stages)

    @property
    def open(self) -> bool:
        """Whether somebody would want to see it at once."""
        return any(stage.state in {"failed", "waiting", "running", "ready"} for stage in self.stages)


def groups(rows: Sequence[Row], planned: Planned | None) -> list[Group]:
    """The groups in the order in which their first stages stand in the plan."""
    every = {arm for row in rows for arm in row["arms"]}
    found: dict[tuple[str, ...], list[StageView]] = {}
    for row in rows:
        found.setdefault(tuple(row["arms"]), []).append(view(row, planned))
    return [Group(name_of(arms, len(every)), tuple(stages)) for arms, stages in found.items()]


def name_of(arms: Sequence[str], every: int) -> str:
    if len(arms) == every and every > 1:
        return "All arms together"
    more = f" and {len(arms) - NAMED} more" if len(arms) > NAMED else ""
    return ", ".join(arms[:NAMED]) + more or "The experiment"


def _queue(row: Row, planned: Planned | None) -> str:
    if row["kind"] not in ALL_KINDS:
        return ""
    stage = planned.plan.stages.get(row["key"]) if planned else None
    return queue_of(row["kind"], stage.options if stage else {})


def view(row: Row, planned: Planned | None) -> StageView:
    kind = row["kind"]
    return StageView(
        key=row["key"],
        kind=kind,
        name=KINDS.get(kind) or str(kind),
        about=planned.about(row["key"]) if planned else "",
        queue=_queue(row, planned),
        state=row["state"],
        reused=row.get("reused", False),
        done=row["progress"]["done"],
        total=row["progress"]["total"],
        note=row.get("reason") or "",
        error=row.get("error") or "",
        workers=", ".join(row.get("workers", ())),
        usd=row.get("cost_usd", 0.0),
    )


def troubles(found: Sequence[Group]) -> list[StageView]:
    """What has failed or waits, the worst first."""
    stages = [stage for group in found for stage in group.stages if stage.error or stage.note]
    return sorted(stages, key=lambda stage: RANK.get(stage.state, 9))


def tables(found: Sequence[Group]) -> list[tuple[str, list[tuple[StageView, str]]]]:
    """The committed stages that left a table, by kind, each with the arms it belongs to."""
    by_kind: dict[str, list[tuple[StageView, str]]] = {}
    for group in found:
        for stage in group.stages:
            if stage.state == "committed" and stage.kind in TABLES:
                by_kind.setdefault(TABLES[stage.kind], []).append((stage, group.name))
    return list(by_kind.items())
