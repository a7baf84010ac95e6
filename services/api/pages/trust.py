"""How far the judge can be trusted, from a report's `trust`: rows and sentences of a page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import LEVELS, number

Data = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """The contrast as one source has it; without numbers `why` says so."""

    source: str
    hint: str
    estimate: str
    interval: str
    size: str
    level: str
    word: str
    why: str
    primary: bool


@dataclass(frozen=True)
class Rater:
    """One rater, two of them, or all."""

    who: str
    votes: str
    agree: str
    agree_interval: str
    kappa: str
    kappa_interval: str


@dataclass(frozen=True)
class Trust:
    """The section; `ahead` are rows of another measure, head to head."""

    rows: tuple[Row, ...]
    ahead: tuple[Row, ...]
    summary: tuple[str, ...]
    missing: tuple[str, ...]
    votes: str
    wins: tuple[str, ...]
    raters: tuple[Rater, ...]


def trust(found: Data | None) -> Trust | None:
    """None where the report has none, as older ones."""
    if not found:
        return None
    rows = [(row, place == 0) for place, row in enumerate(found["rows"])]
    said, people = found["said"], found["people"]
    return Trust(
        tuple(_row(row, primary) for row, primary in rows if "head_to_head" not in row["sort"]),
        tuple(_row(row, primary) for row, primary in rows if "head_to_head" in row["sort"]),
        tuple(said["summary"]),
        tuple(said["missing"]),
        said["votes"] or "",
        tuple(said["wins"]),
        () if people is None else tuple(_raters(people)),
    )


def _row(row: Data, primary: bool) -> Row:
    head = (row["source"], row["hint"])
    if row["estimate"] is None:
        return Row(*head, "", "", "", "", "", row["why"] or "", primary)
    low, high = row["decision_interval"]
    size = f"{row['n_prompts']:,} × {row['n_seeds']}"
    if row["n_gold"] is not None:
        size += f", {row['n_gold']:,} with gold"
    level = row["level"] or ""
    word = LEVELS[level].name if level in LEVELS else "–"
    sign = "+" if row["estimate"] > 0 and number(row["estimate"]) != "0.0" else ""
    return Row(
        *head, f"{sign}{number(row['estimate'])}", f"{number(low)} to {number(high)}", size, level, word, "", primary
    )


def _raters(people: Data) -> list[Rater]:
    rows = [_rater(f"{name} and the judge", one["votes"], one["judge"]) for name, one in people["raters"].items()]
    if len(rows) > 1:
        rows.append(_rater("all raters and the judge", people["pooled"]["votes"], people["pooled"]["judge"]))
    pairs = people["between"]
    return rows + [_rater(" and ".join(one["raters"]), one["agree"]["n"], one) for one in pairs]


def _rater(who: str, votes: int, found: Data | None) -> Rater:
    if found is None:
        return Rater(who, f"{votes:,}", "–", "", "–", "")
    agree = _estimate(found["agree"], lambda value: f"{number(100 * value)}%")
    value, ends = _estimate(found["kappa"], lambda value: number(value, 2))
    # What there is too little of for the one is said once.
    return Rater(who, f"{votes:,}", *agree, value, "" if ends == agree[1] else ends)


def _estimate(one: Data, write: Callable[[float], str]) -> tuple[str, str]:
    if one["estimate"] is None:
        return "–", one["why"] or ""
    ends = "" if one["interval"] is None else " to ".join(write(end) for end in one["interval"])
    return write(one["estimate"]), ends
