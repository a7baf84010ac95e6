"""Who is judged beside the recipes, as the report shows them: groups of the arms' table, and each judge's level."""

from __future__ import annotations

from dataclasses import dataclass

from services.analyst.judges import JudgeView
from services.analyst.model import ArmReport, Report
from services.analyst.wording import LEVELS
from shared.nulls import NULLS, WORDS
from shared.scales import Scale

RECIPES = ""
BESIDE = "Beside the recipes: no arm of the comparison"


@dataclass(frozen=True)
class NullRow:
    """A null completion: what it is, its score under each evaluation and the arms that it outscores there."""

    name: str
    what: str
    text: str
    cells: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class JudgeRow:
    """One judge's answer to the primary contrast. `numbers` are empty where the table of how far the judge can be
    trusted has them."""

    judge: str
    family: str
    evaluation: str
    level: str
    word: str
    numbers: str
    decides: bool


def is_beside(arm: ArmReport) -> bool:
    """Whether it is judged beside the recipes: an untrained policy, or a teacher."""
    return arm.params.of is not None


def what_it_is(arm: ArmReport) -> str:
    """An untrained policy or a teacher in a few words."""
    if arm.params.role == "base":
        return f"{arm.params.of} before any training"
    return f"what {arm.params.of} writes itself, one text for all seeds and temperatures"


def null_rows(report: Report) -> list[NullRow]:
    """Every null completion that is judged."""
    rows = []
    for name, of in report.nulls.items():
        cells = []
        for evaluation, params in report.evaluations.items():
            found = of.get(evaluation)
            above = f"above {', '.join(found.beats)}" if found is not None and found.beats else ""
            cells.append((evaluation, "–" if found is None else params.scale.number(found.estimate), above))
        short = name.partition(":")[2]
        rows.append(NullRow(name, WORDS.get(short, ""), NULLS.get(short, ""), tuple(cells)))
    return rows


def judge_rows(report: Report) -> list[JudgeRow]:
    """What each judge says alone, where there are several."""
    if len(report.judges) < 2:
        return []
    return [
        JudgeRow(
            one.judge,
            one.family,
            one.evaluation,
            one.level,
            LEVELS[one.level],
            "" if report.trust is not None else _numbers(one, report.primary_scale),
            one.decides,
        )
        for one in report.judges
    ]


def _numbers(one: JudgeView, scale: Scale) -> str:
    low, high = one.decision_interval
    return f"{scale.number(one.estimate)} ({scale.number(low)} to {scale.number(high)}) {scale.many}"
