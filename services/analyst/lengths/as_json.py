"""Length as JSON: lengths in characters, figures in points, log-odds as such."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from services.analyst.intervals import Crossed
from services.analyst.length_control import Beside
from services.analyst.lengths.found import ArmLength, ControlledReport, Lengths, disagreements
from services.analyst.lengths.measure import QUANTILES, Distribution


def lengths_dict(lengths: Lengths | None) -> dict[str, Any] | None:
    """Plain data; None where there are no completions."""
    if lengths is None:
        return None
    return {
        "unit": "characters",
        "shown": lengths.shown,
        "arms": {name: {arm: _arm(one) for arm, one in arms.items()} for name, arms in lengths.arms.items()},
        "reference": None if lengths.reference is None else _distribution(lengths.reference),
        "by_difference": {arm: [asdict(one) for one in bins] for arm, bins in lengths.bins.items()},
        "controlled": {name: _controlled(one) for name, one in lengths.controlled.items()},
    }


def _arm(one: ArmLength) -> dict[str, Any]:
    return {**_distribution(one.characters), "ratio_to_reference": one.ratio}


def _distribution(one: Distribution) -> dict[str, Any]:
    quantiles = {f"{share:g}": end for share, end in zip(QUANTILES, one.quantiles, strict=True)}
    return {"n": one.n, "mean": one.mean, "quantiles": quantiles}


def _controlled(one: ControlledReport) -> dict[str, Any]:
    fit = one.fit
    return {
        "method": fit.method,
        "raw": one.raw,
        "scale": fit.table.scale,
        "common_slope": None if fit.fits is None else float(fit.fits.slopes[0].mean()),
        "sigma": fit.sigma,
        "tau": fit.tau,
        "resamples": len(fit.weights),
        "trusted": one.trusted,
        "concerns": [asdict(concern) for concern in fit.concerns],
        "arms": {
            arm.name: {**_beside(arm), "slope": arm.slope, "trusted": arm.trusted, "disagree": arm.disagree}
            for arm in fit.arms
        },
        "contrasts": {
            name: {**_beside(beside), "disagree": list(disagreements(beside)), "trusted": name not in one.doubtful}
            for name, beside in one.contrasts.items()
        },
    }


def _beside(one: Beside) -> dict[str, Any]:
    return {
        "raw": _error(one.raw),
        "controlled": _error(one.controlled),
        "change": _error(one.change),
        "length_ratio": one.length_ratio,
    }


def _error(error: Crossed) -> dict[str, Any]:
    low, high = error.bounds()
    return {
        "estimate": float(error.mean),
        "standard_error": float(error.standard_error),
        "interval": [float(low), float(high)],
    }
