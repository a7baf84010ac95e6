"""Who is judged beside the recipes, and each judge's own answer, from a report's JSON as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import LEVELS, number
from shared.nulls import WORDS
from shared.scales import POINTS, Scale, scale_of

Data = Mapping[str, Any]


@dataclass(frozen=True)
class NullRow:
    """A null completion: its score under each evaluation, and the arms that score below it there."""

    name: str
    meaning: str
    cells: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class JudgeRow:
    """One judge's answer to the primary contrast, by its deciding interval alone. `numbers` are empty where the table
    of how far the judge can be trusted has them."""

    judge: str
    family: str
    evaluation: str
    level: str
    word: str
    numbers: str
    decides: bool


def what_it_is(arm: Data) -> str:
    """An untrained policy or a teacher in a few words; nothing of an arm."""
    of = arm.get("of")
    if of is None:
        return ""
    return f"{of} before any training" if arm.get("role") == "base" else f"what {of} itself writes, without a student"


def null_rows(report: Data, evaluations: tuple[str, ...]) -> tuple[NullRow, ...]:
    """Every null completion that is judged."""
    return tuple(
        NullRow(
            name,
            WORDS.get(name.partition(":")[2], ""),
            tuple(_cell(of.get(one), report["evaluations"][one]["unit"]) for one in evaluations),
        )
        for name, of in (report.get("nulls") or {}).items()
    )


def null_prompts(report: Data) -> int:
    """On how many prompts they are judged, at most."""
    found = [one["prompts"] for of in (report.get("nulls") or {}).values() for one in of.values()]
    return max(found, default=0)


def _cell(found: Data | None, unit: str) -> tuple[str, str]:
    if found is None:
        return "–", ""
    beats = ", ".join(found["beats"])
    return number(found["estimate"], scale_of(unit).digits), f"above {beats}" if beats else ""


def judge_rows(report: Data) -> tuple[JudgeRow, ...]:
    """What each judge says alone, where there are several."""
    verdict = report["verdict"]
    judges = verdict.get("judges") or ()
    if len(judges) < 2:
        return ()
    scale = scale_of(verdict.get("unit", POINTS))
    return tuple(
        JudgeRow(
            one["judge"],
            one["family"],
            one["evaluation"],
            one["level"],
            LEVELS.get(one["level"], LEVELS["inconclusive"]).name,
            "" if report.get("trust") else _numbers(one, scale),
            one["decides"],
        )
        for one in judges
    )


def _numbers(one: Data, scale: Scale) -> str:
    estimate, low, high = (number(value, scale.digits) for value in (one["estimate"], *one["decision_interval"]))
    return f"{estimate} ({low} to {high}) {scale.many}"
