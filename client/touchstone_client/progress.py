"""How far an experiment is, its stages grouped by kind and arms: pure functions on the API's JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Stage = Mapping[str, Any]

# The first that any stage of a group is in is the group's state.
LOUDEST = ("failed", "waiting", "running", "ready", "cancelled", "pending", "committed")


@dataclass(frozen=True)
class Group:
    """Stages of one kind that serve the same arms. `note` is the first error or waiting reason."""

    kind: str
    arms: str
    state: str
    committed: int
    reused: int
    stages: int
    fraction: float
    note: str
    keys: tuple[str, ...]


def group_stages(summary: Mapping[str, Any], by_arms: bool = True) -> list[Group]:
    """The groups in the order in which the plan has them; without `by_arms` one for each kind."""
    stages = summary.get("stages", [])
    every_arm = {arm for stage in stages for arm in stage.get("arms", [])}
    members: dict[tuple[str, str], list[Stage]] = {}
    for stage in stages:
        arms = arms_label(stage, every_arm) if by_arms else ""
        members.setdefault((stage["kind"], arms), []).append(stage)
    return [_group(kind, arms, found) for (kind, arms), found in members.items()]


def arms_label(stage: Stage, every_arm: Iterable[str]) -> str:
    """The arms that a stage serves, in words."""
    arms = list(stage.get("arms", []))
    if len(arms) > 1 and set(arms) == set(every_arm):
        return "all arms"
    return ", ".join(arms)


def _group(kind: str, arms: str, stages: list[Stage]) -> Group:
    states = Counter(stage["state"] for stage in stages)
    notes = [stage.get("error") or stage.get("reason") for stage in stages]
    return Group(
        kind=kind,
        arms=arms,
        state=next((state for state in LOUDEST if states[state]), "pending"),
        committed=states["committed"],
        reused=sum(bool(stage.get("reused")) for stage in stages),
        stages=len(stages),
        fraction=sum(stage_fraction(stage) for stage in stages) / len(stages),
        note=next((one_line(note) for note in notes if note), ""),
        keys=tuple(stage["key"] for stage in stages),
    )


def stage_fraction(stage: Stage) -> float:
    """How much of a stage is done, 0 to 1."""
    if stage["state"] == "committed":
        return 1.0
    progress = stage.get("progress") or {}
    total = progress.get("total") or 0
    return min(1.0, progress.get("done", 0) / total) if total else 0.0


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Stage]:
    """The stages whose state, error or waiting reason changed."""
    old = {stage["key"]: stage for stage in before.get("stages", [])}
    told = ("state", "error", "reason")
    return [
        stage
        for stage in after.get("stages", [])
        if any(stage.get(field) != old.get(stage["key"], {}).get(field) for field in told)
    ]


def seconds_between(start: str | None, end: str | None) -> float | None:
    """Seconds between two ISO 8601 times."""
    if not start or not end:
        return None
    return (datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds()


def duration(seconds: float) -> str:
    """`7 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = max(0, int(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def one_line(text: str, longest: int = 300) -> str:
    """Text without line breaks, cut where it is too long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"{flat[: longest - 1]}…"


def money(summary: Mapping[str, Any]) -> str:
    """`$12.30`, or `$12.30 of $50.00` where there is a budget."""
    budget = summary.get("budget") or {}
    if budget.get("usd") is None:
        return f"${summary.get('cost_usd') or 0:.2f}"
    return f"${budget.get('spent_usd') or 0:.2f} of ${budget['usd']:.2f}"


def answer_notes(summary: Mapping[str, Any]) -> list[str]:
    """What is to be known of the answers that were paid for: `teach: 9 truncated, 1 refused, of 1,500 answers`."""
    notes = []
    for kind in dict.fromkeys(stage["kind"] for stage in summary.get("stages", [])):
        counts: Counter[str] = Counter()
        without_usage = 0
        for stage in summary["stages"]:
            if stage["kind"] == kind and (answers := stage.get("answers")):
                counts.update({**answers.get("outcomes", {}), "unparsable": answers.get("unparsable", 0)})
                without_usage += answers.get("without_usage", 0)
        total = sum(count for what, count in counts.items() if what != "unparsable")
        none = [f"{count:,} {what}" for what, count in counts.most_common() if what != "answered" and count]
        if none:
            notes.append(f"{kind}: {', '.join(none)}, of {total:,} answers")
        if without_usage:
            notes.append(f"{kind}: {without_usage:,} answers without usage count with the most that they can have cost")
    return notes


def closing_sentence(summary: Mapping[str, Any]) -> str:
    """What came out, in one line: `succeeded: 41 stages, 12 of them reused, in 3 min 05 s`."""
    stages = len(summary.get("stages", []))
    reused = sum(bool(stage.get("reused")) for stage in summary.get("stages", []))
    parts = [f"{summary['state']}: {stages} stages" + (f", {reused} of them reused" if reused else "")]
    took = seconds_between(summary.get("created"), summary.get("finished"))
    if took is not None and took >= 0:
        parts.append(f"in {duration(took)}")
    if summary.get("cost_usd") or summary.get("budget"):
        parts.append(f"for {money(summary)}")
    return ", ".join(parts)
