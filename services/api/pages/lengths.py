"""Scores beside what they would be at equal length, from a report's JSON as a page shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.api.pages.wording import number

Data = Mapping[str, Any]
METHODS = {
    "joint": "one fit over all arms",
    "alpaca_eval_minimal": "one fit for each arm, as AlpacaEval’s length_controlled_minimal",
}
OTHERWISE = {"level": "leads to another conclusion", "sign": "has the other sign"}


@dataclass(frozen=True)
class LengthRow:
    """An arm, or a difference of arms: how many times as long its answers are, its score as it is and at equal length,
    each with its interval, how far those are apart, and what to beware of."""

    name: str
    length: str
    raw: tuple[str, str]
    controlled: tuple[str, str]
    change: tuple[str, str]
    flags: tuple[str, ...]


@dataclass(frozen=True)
class LengthTable:
    """One length-controlled evaluation beside the raw one of the same judgements; `parts` are arms and differences."""

    name: str
    raw: str
    how: str
    parts: tuple[tuple[str, tuple[LengthRow, ...]], ...]
    concerns: tuple[str, ...]


def length_tables(report: Data) -> tuple[LengthTable, ...]:
    """A table for each length-controlled evaluation."""
    found = (report.get("lengths") or {}).get("controlled") or {}
    return tuple(_table(name, one) for name, one in found.items())


def _table(name: str, found: Data) -> LengthTable:
    how = f"{METHODS.get(found['method'], found['method'])}, {found['resamples']:,} refits on resamples of the prompts"
    parts = (("Arm", found["arms"]), ("Difference", found["contrasts"]))
    return LengthTable(
        name=name,
        raw=found["raw"] or "the raw score",
        how=how,
        parts=tuple((title, tuple(_row(row, one) for row, one in rows.items())) for title, rows in parts if rows),
        concerns=tuple(_concern(one) for one in found["concerns"]),
    )


def _row(name: str, found: Data) -> LengthRow:
    differs = found["disagree"]
    # Of a difference they are named; an arm's figure lies otherwise to 50 or it does not.
    words = [OTHERWISE[one] for one in differs] if isinstance(differs, list) else ["reads otherwise"] * bool(differs)
    ratio = found["length_ratio"]
    return LengthRow(
        name,
        "–" if ratio is None else f"× {ratio:.2f}",
        _figure(found["raw"]),
        _figure(found["controlled"]),
        _figure(found["change"]),
        (*([] if found["trusted"] else ["not to be trusted"]), *words),
    )


def _figure(found: Data) -> tuple[str, str]:
    low, high = found["interval"]
    return number(found["estimate"]), f"{number(low)} to {number(high)}"


def _concern(found: Data) -> str:
    # A sentence may begin with an arm's name, which is as it is written.
    text = found["text"] if found["arm"] else found["text"][:1].upper() + found["text"][1:]
    return f"{text}." if found["serious"] else f"{text} (for information)."
