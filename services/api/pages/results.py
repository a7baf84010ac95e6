"""A report's numbers as a page shows them. A matrix has one block for each of its cells."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.api.pages import tables
from services.api.pages.beside import JudgeRow, NullRow, judge_rows, null_prompts, null_rows, what_it_is
from services.api.pages.categories import CategoryTable, category_tables
from services.api.pages.lengths import LengthTable, length_tables
from services.api.pages.temperatures import TemperatureTable, temperature_tables
from services.api.pages.trust import Trust, trust
from services.api.pages.tuning import Tuning, tuning
from services.api.pages.wording import ARMS, CONTRASTS, LEVELS, MECHANISM, SCOPES, TERMS, Level, between, money, number
from services.api.planned import Planned
from shared import interval_drawing
from shared.bandit import is_bandit
from shared.scales import ELO, POINTS, SCALES, Scale, scale_of
from shared.spec.matrix import in_cell

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Side:
    """One of the two arms of the primary contrast, and its price alone."""

    name: str
    meaning: str
    usd: str
    device_hours: str


@dataclass(frozen=True)
class Primary:
    """The difference that decides."""

    drawing: interval_drawing.Drawing | None
    estimate: str
    low: str
    high: str
    delta: str
    size: str
    share: str
    unit: str


@dataclass(frozen=True)
class Verdict:
    """The first screen of a report, or of one cell of it. `judges` are each judge's answers, where there are several;
    `family_note` says where they are all of one family."""

    level: str
    words: Level
    sentence: str
    scope: str
    question: str
    contrast: str
    evaluation: str
    sides: tuple[Side, ...]
    primary: Primary | None
    reasons: tuple[str, ...]
    terms: str
    judges: tuple[JudgeRow, ...] = ()
    family_note: str = ""


@dataclass(frozen=True)
class ArmRow:
    """An arm's scores, one for each evaluation: the estimate, its interval, and how wide a bar of it is (0 to 100)."""

    name: str
    meaning: str
    cells: tuple[tuple[str, str, float | None], ...]
    usd: str
    device_hours: str
    pending: int
    model: str
    """the key of the stage that left its model; empty where that is not known"""
    export: str = ""
    """what `touchstone export` takes for it, as a shell does; empty where there is no model"""
    left_out: str = ""
    """how many prompts its context does not hold; empty where it holds all"""


@dataclass(frozen=True)
class ContrastRow:
    """A difference of arms under one evaluation."""

    name: str
    meaning: str
    formula: str
    evaluation: str
    estimate: str
    interval: str
    p: str
    size: str
    length: str
    primary: bool
    unit: str


@dataclass(frozen=True)
class WinRates:
    """Who beats whom: a row for each arm, with (win rate, interval and prompts) against each other, None for none."""

    source: str
    arms: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str] | None, ...]], ...]


@dataclass(frozen=True)
class Block:
    """One cell's results; `name` is empty where there is no matrix. Beside the recipes (`arms`) stand untrained
    policies, teachers and null completions. `units` are empty of points."""

    name: str
    verdict: Verdict
    evaluations: tuple[str, ...]
    arms: tuple[ArmRow, ...]
    contrasts: tuple[ContrastRow, ...]
    matches: tuple[tables.Match, ...]
    frontier: tables.Frontier | None
    win_rates: tuple[WinRates, ...] = ()
    categories: tuple[CategoryTable, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    beside: tuple[ArmRow, ...] = ()
    nulls: tuple[NullRow, ...] = ()
    null_prompts: int = 0
    temperatures: tuple[TemperatureTable, ...] = ()
    trust: Trust | None = None
    lengths: tuple[LengthTable, ...] = ()
    tuning: Tuning | None = None


def blocks(report: Data, planned: Planned | None) -> list[Block]:
    """The report's parts: of a matrix one for each cell, else one."""
    cells = report.get("cells")
    if cells:
        return [block(cell, planned, name) for name, cell in cells.items()]
    return [block(report, planned, "")]


def block(report: Data, planned: Planned | None, cell: str) -> Block:
    pairs = pairs_of(planned, cell)
    evaluations = tuple(report.get("evaluations") or first_evaluations(report))
    rows = {
        is_beside: tuple(
            arm_row(name, arm, evaluations, report, model_of(planned, cell, name), in_cell(cell, name))
            for name, arm in report["arms"].items()
            if (arm.get("of") is not None) == is_beside
        )
        for is_beside in (False, True)
    }
    return Block(
        name=cell,
        verdict=verdict(report, pairs),
        evaluations=evaluations,
        arms=rows[False],
        contrasts=tuple(contrast_rows(report, pairs)),
        matches=tuple(tables.matches(report, pairs)),
        frontier=tables.frontier(report),
        win_rates=tuple(win_rates(one) for one in report.get("win_rates") or ()),
        categories=tuple(category_tables(report)),
        units={name: unit_words(report, name) for name in evaluations},
        beside=rows[True],
        nulls=null_rows(report, evaluations),
        null_prompts=null_prompts(report),
        temperatures=temperature_tables(report),
        trust=trust(report.get("trust")),
        lengths=length_tables(report),
        tuning=tuning(report),
    )


def win_rates(found: Data) -> WinRates:
    judge = f"Judge: {found['judge']}. " if found.get("judge") else ""
    arms = tuple(found["arms"])
    rows = tuple((arm, tuple(win_rate(found["rows"][arm].get(other)) for other in arms)) for arm in arms)
    return WinRates(f"{judge}From {' and '.join(found['evaluations'])}.", arms, rows)


def win_rate(cell: Data | None) -> tuple[str, str] | None:
    if cell is None:
        return None
    low, high = cell["interval"]
    return number(cell["estimate"]), f"{number(low)} to {number(high)}; n {cell['n']}"


def pairs_of(planned: Planned | None, cell: str) -> dict[str, tuple[str, str]]:
    """The arms of each difference by its name, both as the cell itself calls them."""
    if planned is None:
        return {}
    end = f" [{cell}]" if cell else ""
    return {
        name.removesuffix(end): (a.removesuffix(end), b.removesuffix(end))
        for name, (a, b) in planned.pairs.items()
        if name.endswith(end)
    }


def model_of(planned: Planned | None, cell: str, arm: str) -> str:
    """The key of the stage that left an arm's model, where the plan knows one."""
    return "" if planned is None else planned.models.get(in_cell(cell, arm), "")


def first_evaluations(report: Data) -> list[str]:
    return list(dict.fromkeys(name for arm in report["arms"].values() for name in arm["evaluations"]))


def verdict(report: Data, pairs: Mapping[str, tuple[str, str]]) -> Verdict:
    """The verdict in words, with the interval drawn against delta."""
    told = report["verdict"]
    contrast, evaluation = told["primary"]["contrast"], told["primary"]["evaluation"]
    found = report["contrasts"].get(contrast, {}).get(evaluation)
    shows = is_bandit(report)
    return Verdict(
        level="mechanism" if shows else told["level"],
        words=MECHANISM if shows else LEVELS.get(told["level"], LEVELS["inconclusive"]),
        sentence=told["sentence"],
        scope="" if shows or told["level"] == "pending" else SCOPES.get(told["scope"], ""),
        question=CONTRASTS.get(contrast, ""),
        contrast=contrast,
        evaluation=evaluation,
        sides=tuple(side(name, report) for name in pairs.get(contrast, ())),
        primary=None if found is None else primary(found, told["delta"], scale(report, evaluation)),
        reasons=tuple(told["reasons"]),
        terms="" if shows else TERMS,
        judges=judge_rows(report),
        family_note=told.get("family_note") or "",
    )


def side(name: str, report: Data) -> Side:
    cost = report["arms"].get(name, {}).get("cost")
    usd, hours = ("–", None) if cost is None else (priced(cost), cost["device_hours"])
    return Side(name, ARMS.get(name, ""), usd, number(hours, 2))


def priced(cost: Data) -> str:
    """Dollars that were paid, and those that recorded data would have cost, where the spec declares it."""
    declared = cost.get("declared_usd")
    return money(cost["usd"]) + (f" and {money(declared)} declared" if declared else "")


def primary(found: Data, delta: float | None, scale: Scale) -> Primary:
    low, high = found["decision_interval"]
    drawing = None if delta is None else interval_drawing.place(found["estimate"], low, high, delta)
    widened = found["decision_interval"] != found["interval"]
    return Primary(
        drawing,
        signed(found["estimate"], scale.digits),
        signed(low, scale.digits),
        signed(high, scale.digits),
        number(delta, scale.digits),
        size(found),
        "interval that decides" if widened else "95% interval",
        scale.many,
    )


def signed(value: float | None, digits: int = 1) -> str:
    text = number(value, digits)
    return f"+{text}" if value is not None and value > 0 and text.strip("0.") else text


def size(found: Data) -> str:
    runs = "1 run" if found["n_seeds"] == 1 else f"{found['n_seeds']} runs"
    if found["n_prompts"] == 1:
        return runs
    return f"{found['n_prompts']:,} prompts × {runs}"


def arm_row(name: str, arm: Data, evaluations: tuple[str, ...], report: Data, model: str, whole: str) -> ArmRow:
    """`whole` is the arm's name with that of its cell."""
    cost = arm["cost"]
    unjudged = arm.get("unjudged") or ()
    cells = tuple(
        ("–", "", None) if one in unjudged else arm_cell(arm["evaluations"].get(one), report, one)
        for one in evaluations
    )
    meaning = arm.get("meaning") or ARMS.get(name, "") or what_it_is(arm)
    hours = number(cost["device_hours"], 2)
    return ArmRow(
        name,
        meaning,
        cells,
        priced(cost),
        hours,
        cost.get("missing", 0),
        model,
        shlex.quote(whole) if model else "",
        left_out(arm.get("too_long") or {}),
    )


def left_out(too_long: Mapping[str, int]) -> str:
    """`Left out: 2 eval and 1 train prompts too long for its context.`"""
    counts = " and ".join(f"{count:,} {split}" for split, count in too_long.items())
    return f"Left out: {counts} prompts too long for its context." if counts else ""


def arm_cell(found: Data | None, report: Data, evaluation: str) -> tuple[str, str, float | None]:
    if found is None:
        return "pending", "", None
    points, digits = in_points(report, evaluation), scale(report, evaluation).digits
    bar = max(0.0, min(100.0, found["estimate"])) if points and found["estimate"] is not None else None
    return number(found["estimate"], digits), between(found["interval"], digits), bar


def in_points(report: Data, evaluation: str) -> bool:
    """Whether an evaluation's scores are 0 to 100."""
    return unit_of(report, evaluation) == POINTS


def unit_of(report: Data, evaluation: str) -> str:
    return str((report.get("evaluations") or {}).get(evaluation, {}).get("unit", POINTS))


def unit_words(report: Data, evaluation: str) -> str:
    """What an evaluation's numbers are; empty of points."""
    return "" if in_points(report, evaluation) else scale(report, evaluation).many


def scale(report: Data, evaluation: str) -> Scale:
    """How an evaluation's numbers are read."""
    return scale_of(unit_of(report, evaluation))


def contrast_rows(report: Data, pairs: Mapping[str, tuple[str, str]]) -> list[ContrastRow]:
    """Every difference, that which decides first."""
    told = report["verdict"]["primary"]
    rows = []
    for name, results in report["contrasts"].items():
        for evaluation, found in results.items():
            read = scale(report, evaluation)
            digits = read.digits
            rows.append(
                ContrastRow(
                    name=name,
                    meaning=CONTRASTS.get(name, ""),
                    formula=" − ".join(pairs.get(name, ())),
                    evaluation=evaluation,
                    estimate=difference(found["estimate"], read),
                    interval=between(found["interval"], digits) or "–",
                    p=p_value(found["p_value"]),
                    size=size(found),
                    length=times(found.get("length_ratio")),
                    primary=not is_bandit(report) and (name, evaluation) == (told["contrast"], told["evaluation"]),
                    unit="" if read is SCALES[ELO] else unit_words(report, evaluation),
                )
            )
    return sorted(rows, key=lambda row: not row.primary)


def difference(value: float | None, scale: Scale) -> str:
    """A difference as text; of ratings with its unit, since it stands among points."""
    text = signed(value, scale.digits)
    return f"{text} {scale.many}" if scale is SCALES[ELO] else text


def times(ratio: float | None) -> str:
    """How many times as long the first arm's completions are as the second's: `× 1.08`; empty where there are none."""
    return "" if ratio is None else f"× {ratio:.2f}"


def p_value(p: float | None) -> str:
    if p is None:
        return "–"
    return "< .001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
