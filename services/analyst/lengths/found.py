"""What a report says of length, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from services.analyst.length_control import Beside, Controlled
from services.analyst.lengths.measure import Bin, Distribution

Disagreement = Literal["level", "sign"]


@dataclass(frozen=True)
class ArmLength:
    """One arm's completions under one evaluation; `ratio` is how many times as long as the reference's they are."""

    characters: Distribution
    ratio: float | None


@dataclass(frozen=True)
class ControlledReport:
    """One length-controlled evaluation: the fit over all arms, and its contrasts beside the raw ones.

    `raw` names the evaluation of the same judgements as they are, where the spec has it. `doubtful` are the contrasts
    of an arm, or from a fit, that is not to be trusted.
    """

    raw: str | None
    fit: Controlled
    contrasts: Mapping[str, Beside]
    doubtful: frozenset[str] = frozenset()

    @property
    def trusted(self) -> bool:
        """Whether neither the fit nor any arm's figure has a serious concern."""
        return not any(concern.serious for concern in self.fit.concerns)


@dataclass(frozen=True)
class Lengths:
    """Lengths in characters by evaluation and arm; what is drawn is of the evaluation `shown`.

    `reference` are its reference's completions, `bins` its arms' scores by length difference; none of scores that are
    no points.
    """

    shown: str
    arms: Mapping[str, Mapping[str, ArmLength]]
    reference: Distribution | None = None
    bins: Mapping[str, tuple[Bin, ...]] = field(default_factory=dict)
    controlled: Mapping[str, ControlledReport] = field(default_factory=dict)

    @property
    def drawn_fit(self) -> Controlled | None:
        """The joint fit of the judgements that are drawn; None where there is none."""
        fits = [one.fit for one in self.controlled.values() if one.raw == self.shown]
        return next((fit for fit in fits if fit.fits is not None), None)


def disagreements(beside: Beside) -> tuple[Disagreement, ...]:
    """How a contrast reads otherwise with length control: its interval lies differently to zero or delta; its sign."""
    found: list[Disagreement] = ["level"] if beside.disagree else []
    if float(beside.raw.mean) * float(beside.controlled.mean) < 0:
        found.append("sign")
    return tuple(found)
