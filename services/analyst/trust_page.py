"""How far the judge can be trusted, as a page shows it: rows of text and sentences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from services.analyst import wording
from services.analyst.critics.estimates import Estimate
from services.analyst.people import People, Rater, Wins
from services.analyst.trust import Row, Trust
from services.analyst.wording import number


@dataclass(frozen=True)
class Line:
    """A row of the table; `numbers` are difference, interval, size, and what it alone would say; else `why`."""

    source: str
    hint: str
    numbers: tuple[str, str, str, str] | None
    why: str = ""
    primary: bool = False
    level: str = ""


@dataclass(frozen=True)
class PeopleRow:
    """One rater, two of them, or all: their agreement with the judge or each other as text."""

    who: str
    votes: str
    agree: str
    kappa: str


@dataclass(frozen=True)
class View:
    """The section. `ahead` are rows of another measure: head to head."""

    lines: tuple[Line, ...]
    ahead: tuple[Line, ...]
    summary: tuple[str, ...]
    raters: tuple[PeopleRow, ...]
    wins: tuple[str, ...]
    votes: str
    missing: tuple[str, ...]


def trust_view(trust: Trust | None) -> View | None:
    """The section; None where there is nothing to say."""
    if trust is None:
        return None
    here = [row for row in trust.rows if "head_to_head" not in row.sort]
    ahead = [row for row in trust.rows if "head_to_head" in row.sort]
    found, shown = trust.people, trust.shown
    return View(
        tuple(line(row, place == 0, shown) for place, row in enumerate(here)),
        tuple(line(row, False, shown) for row in ahead),
        tuple(summary(trust)),
        () if found is None else tuple(_raters(found)),
        () if found is None else tuple(_wins(one) for one in found.wins),
        "" if found is None else votes(found),
        tuple(missing(trust)),
    )


def line(row: Row, primary: bool, shown: str) -> Line:
    """A row as text; `shown` says whose completions the orders are about."""
    source, hint = _source(row, primary, shown)
    if row.estimate is None or row.standard_error is None or row.decision_interval is None:
        return Line(source, hint, None, row.why)
    low, high = row.decision_interval
    size = f"{row.prompts:,} × {row.seeds}" + ("" if row.gold is None else f", {row.gold:,} with gold")
    level = wording.LEVELS.get(row.level or "", "–")
    numbers = (
        f"{number(row.estimate)} ± {number(row.standard_error)}",
        f"{number(low)} to {number(high)}",
        size,
        level,
    )
    return Line(source, hint, numbers, "", primary, row.level or "")


def _source(row: Row, primary: bool, shown: str) -> tuple[str, str]:
    match row.sort:
        case "judge":
            return row.name, "the verdict’s own judge, as the spec asks it" if primary else ""
        case "order":
            whose = f"{shown}’" if shown.endswith("s") else f"{shown}’s"
            return "… in one order alone", f"{whose} completions always {row.name}"
        case "second_judge":
            return row.name, "another judge, the same completions"
        case "head_to_head":
            return "By the judge’s scores", "the higher score against the reference wins"
        case "people_head_to_head":
            return "Corrected by people’s votes", _told(row)
    return f"Corrected by {row.name}", _told(row)


def _told(row: Row) -> str:
    if row.gold is None or row.weight is None:
        return ""
    return f"prediction-powered; the judge’s weight is {number(row.weight, 2)}"


def summary(trust: Trust) -> Iterator[str]:
    """What gold labels say of the judge, in sentences."""
    a, b = trust.arms
    raw = trust.rows[0]
    for row in trust.corrections:
        assert row.bias is not None and row.estimate is not None and row.decision_interval is not None
        kind = f"favours {a if row.bias > 0 else b} by {wording.points(row.bias)}"
        if number(row.bias) == number(0.0):
            kind = "favours neither arm"
        low, high = (number(end) for end in row.decision_interval)
        said = "" if row.level is None else f" That alone would say: {wording.LEVELS[row.level]}"
        if row.level is not None:
            same = row.level == raw.level
            said += ", as the judge’s own contrast does." if same else ", which the judge’s own contrast does not."
        where = f"{wording.points(row.estimate)} {'above' if row.estimate >= 0 else 'below'}"
        yield (
            f"On the {row.gold} prompts with gold labels ({row.name}) the judge {kind}. "
            f"Corrected with them, {a} is {where} {b} "
            f"({low} to {high}).{said}"
        )


def missing(trust: Trust) -> Iterator[str]:
    """What was not asked."""
    if trust.one_order:
        yield "The judge was not asked in both orders everywhere, so its contrast in each is not known."
    if trust.one_judge:
        yield "No second judge was asked."
    if not trust.corrections:
        yield "No gold labels correct the contrast."
    if trust.people is None:
        yield "No person has voted: this report includes no votes."


def votes(found: People) -> str:
    """How many votes a report includes, which a reader must know: more may have come since."""
    people = "1 person" if len(found.raters) == 1 else f"{len(found.raters)} people"
    said = f"This report includes {found.votes:,} {'vote' if found.votes == 1 else 'votes'} of {people} on "
    said += f"{found.pairs:,} {'pair' if found.pairs == 1 else 'pairs'}."
    if found.superseded:
        what = "one was" if found.superseded == 1 else "ones were"
        said += f" {found.superseded:,} earlier {what} changed by the same person, which no longer counts."
    if found.passed_over:
        said += (
            f" {found.passed_over:,} prompts were passed over: if those were hard ones, the rest is no random choice."
        )
    return said


def _raters(found: People) -> Iterator[PeopleRow]:
    rows: Sequence[Rater] = [*found.raters, *([found.pooled] if len(found.raters) > 1 else [])]
    for rater in rows:
        agree, kappa = (None, None) if rater.judge is None else (rater.judge.agree, rater.judge.kappa)
        yield PeopleRow(f"{rater.name} and the judge", f"{rater.votes:,}", _share(agree), _plain(kappa))
    for one, other in found.between:
        yield PeopleRow(f"{one} and {other.other}", f"{other.agree.n:,}", _share(other.agree), _plain(other.kappa))


def _wins(one: Wins) -> str:
    over = "the reference" if one.other is None else one.other
    if one.people.value is None:
        return f"{one.arm} over {over}: {one.people.why}."
    return (
        f"People prefer {one.arm} over {over} in {_share(one.people)} of {one.people.n:,} pairs (ties half), the judge "
        f"in {_share(one.judge)} of the same; the difference is {_share(one.difference, ' points')}."
    )


def _share(one: Estimate | None, unit: str = "%") -> str:
    return _text(one, lambda value: number(100 * value), unit)


def _plain(one: Estimate | None) -> str:
    return _text(one, lambda value: number(value, 2), "")


def _text(one: Estimate | None, write: Callable[[float], str], unit: str) -> str:
    if one is None or one.value is None:
        return one.why if one is not None and one.why else "–"
    ends = "" if one.interval is None else f" ({write(one.interval[0])} to {write(one.interval[1])})"
    return f"{write(one.value)}{unit}{ends}"
