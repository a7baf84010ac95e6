"""Length in one report: the ratios beside its contrasts, and the figures of its length-controlled evaluations.

A length-controlled evaluation has one fit over all arms that are there: in a matrix, over those of the cell. Null
completions, which are no arms, have no part in it. Only prompts count that are valid in all of an arm's seeds, so that
the raw figure beside the controlled one is the raw evaluation's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from services.analyst.contrasts import Contrast, ContrastResult
from services.analyst.intervals import Crossed
from services.analyst.length_control import Beside, Controlled, LengthTable, length_controlled
from services.analyst.lengths.found import ArmLength, ControlledReport, Lengths
from services.analyst.lengths.measure import (
    ArmLengths,
    against_reference,
    assemble_lengths,
    by_difference,
    distribution,
    pooled_references,
    ratio,
)
from services.analyst.model import ArmEstimate, ReportInputs
from services.analyst.params import ReportParams
from services.analyst.scores import ArmScores, align

Key = tuple[str, str]
"""An arm and an evaluation."""
FEWEST = 2
"""Valid prompts that an arm needs to be in a fit."""


@dataclass(frozen=True)
class LengthStudy:
    """Scores and lengths of what is there, and the fits, by evaluation, of those that are length-controlled."""

    params: ReportParams
    scores: Mapping[Key, ArmScores]
    lengths: Mapping[Key, ArmLengths]
    fits: Mapping[str, Controlled]

    @classmethod
    def of(cls, inputs: ReportInputs, scores: Mapping[Key, ArmScores]) -> LengthStudy:
        """`scores` are the complete ones. Every length-controlled evaluation is fitted here, which takes the time."""
        found = {key: assemble_lengths(one, inputs.lengths.get(key, {})) for key, one in scores.items()}
        lengths = {key: one for key, one in found.items() if one is not None}
        fits = {}
        for name, evaluation in inputs.params.evaluations.items():
            if evaluation.length_controlled is not None:
                arms = [(arm, name) for arm in inputs.params.arms if (arm, name) in lengths]
                table = table_of([scores[key] for key in arms], [lengths[key] for key in arms])
                if table is not None:
                    fits[name] = length_controlled(table, evaluation.length_controlled)
        return cls(inputs.params, scores, lengths, fits)

    def ratio(self, contrast: Contrast, evaluation: str) -> float | None:
        """The lengths of a contrast's completions, one arm's over another's; None where there are none.

        An arena's figures have no judgements of their own; their samples are those of others at the same temperature.
        """
        at = self.params.evaluations[evaluation].temperature
        alike = [name for name, one in self.params.evaluations.items() if at is not None and one.temperature == at]
        for name in (evaluation, *alike):
            arms = {arm: (arm, name) for arm in contrast.arms}
            if all(key in self.lengths for key in arms.values()):
                return ratio(
                    contrast,
                    {arm: self.scores[key] for arm, key in arms.items()},
                    {arm: self.lengths[key] for arm, key in arms.items()},
                )
        return None

    def estimate(self, arm: str, evaluation: str) -> ArmEstimate | None:
        """An arm's length-controlled figure; None where it has none with an error."""
        fit = self.fits.get(evaluation)
        if fit is None or arm not in fit.table.arms:
            return None
        error = fit.arm(arm).controlled
        if not np.isfinite(error.standard_error):
            return None
        dropped = int((~self.scores[arm, evaluation].valid).sum())
        return ArmEstimate(
            float(error.mean),
            float(error.standard_error),
            _pair(error),
            error.prompts,
            error.seeds,
            dropped,
        )

    def compare(self, contrast: Contrast, evaluation: str, alpha: float) -> ContrastResult | None:
        """A contrast between length-controlled figures; None where it cannot be estimated."""
        beside = self.beside(contrast, evaluation, None, alpha)
        if beside is None:
            return None
        error = beside.controlled
        aligned = align([self.scores[arm, evaluation] for arm in contrast.arms])
        return ContrastResult(
            contrast=contrast,
            evaluation=evaluation,
            estimate=float(error.mean),
            standard_error=float(error.standard_error),
            interval=_pair(error),
            decision_interval=_pair(error, alpha),
            p_value=float(error.p_value()),
            prompts=error.prompts,
            seeds=error.seeds,
            dropped=aligned.dropped,
            total=aligned.total,
            error=error,
        )

    def beside(self, contrast: Contrast, evaluation: str, delta: float | None, alpha: float = 0.05) -> Beside | None:
        """A contrast with length control and without; None where it cannot be estimated."""
        fit = self.fits.get(evaluation)
        if fit is None or any(arm not in fit.table.arms for arm in contrast.arms):
            return None
        if len(align([self.scores[arm, evaluation] for arm in contrast.arms]).prompt_ids) < FEWEST:
            return None
        found = fit.contrast(contrast, delta, alpha)
        return found if np.isfinite(found.controlled.standard_error) else None

    def lengths_of(
        self, shown: str | None, contrasts: Sequence[Contrast], delta: Mapping[str, float], alpha: float
    ) -> Lengths | None:
        """All that the report says of length; `shown` is the evaluation whose completions it shows.

        `delta` is in points, by contrast, where it is known. None where no completions are there.
        """
        arms: dict[str, dict[str, ArmLength]] = {}
        for (arm, evaluation), one in self.lengths.items():
            characters = distribution(one.own)
            if characters is not None and arm in self.params.arms:
                arms.setdefault(evaluation, {})[arm] = ArmLength(characters, against_reference(one))
        drawn = shown if shown in arms else next(iter(arms), None)
        if drawn is None:
            return None
        of_drawn = [arm for arm in self.params.arms if arm in arms[drawn]]
        points = self.params.evaluations[drawn].in_points
        bins = {
            arm: found
            for arm in (of_drawn if points else [])
            if (found := by_difference(self.scores[arm, drawn], self.lengths[arm, drawn]))
        }
        return Lengths(
            shown=drawn,
            arms={name: arms[name] for name in self.params.evaluations if name in arms},
            reference=pooled_references([self.lengths[arm, drawn] for arm in of_drawn]),
            bins=bins,
            controlled={name: self._controlled(name, fit, contrasts, delta, alpha) for name, fit in self.fits.items()},
        )

    def _controlled(
        self, name: str, fit: Controlled, contrasts: Sequence[Contrast], delta: Mapping[str, float], alpha: float
    ) -> ControlledReport:
        found = {one.name: self.beside(one, name, delta.get(one.name), alpha) for one in contrasts}
        there = {contrast: beside for contrast, beside in found.items() if beside is not None}
        sure = {arm.name for arm in fit.arms if fit.trusted and arm.trusted}
        doubtful = frozenset(one.name for one in contrasts if one.name in there and not sure.issuperset(one.arms))
        return ControlledReport(self.params.evaluations[name].raw, fit, there, doubtful)


def table_of(scores: Sequence[ArmScores], lengths: Sequence[ArmLengths]) -> LengthTable | None:
    """The arms' wins and lengths on all of their prompts; None where no arm has two valid prompts."""
    arms = [(one, of) for one, of in zip(scores, lengths, strict=True) if _usable(one, of).sum() >= FEWEST]
    if not arms:
        return None
    ids = np.unique(np.concatenate([one.prompt_ids for one, _ in arms]))
    wins = np.full((len(arms), len(arms[0][0].seeds), len(ids)), np.nan)
    long, references = np.full_like(wins, np.nan), np.full(len(ids), np.nan)
    for row, (one, of) in enumerate(arms):
        at = np.searchsorted(ids, one.prompt_ids)
        wins[row][:, at] = np.where(_usable(one, of), one.values / 100, np.nan)
        long[row][:, at] = of.own
        references[at] = np.where(np.isnan(references[at]), of.references, references[at])
    return LengthTable.of([one.arm for one, _ in arms], wins, long, references)


def _usable(scores: ArmScores, lengths: ArmLengths) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Prompts that are valid in all seeds, with the lengths of both sides."""
    return np.asarray(scores.valid & ~np.isnan(lengths.own).any(axis=0) & ~np.isnan(lengths.references))


def _pair(error: Crossed, alpha: float = 0.05) -> tuple[float, float]:
    low, high = error.bounds(alpha)
    return float(low), float(high)
