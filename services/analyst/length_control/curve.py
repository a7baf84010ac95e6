"""The joint fit as a curve: an arm's win rate at any length difference, of which control reports the one at none."""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from services.analyst.length_control.figures import Controlled
from services.analyst.length_control.table import Floats


def curve(found: Controlled, arm: str, differences: Floats) -> Floats | None:
    """An arm's mean win probability in percent over the prompts that were judged, if every completion were so many
    characters longer than its reference; None of a method that has no one fit.

    Raises:
        ValueError: an arm that is not in the table.
    """
    if found.fits is None:
        return None
    table, fits, at = found.table, found.fits, found.table.arms.index(arm)
    x = np.tanh(differences / table.scale) if table.scale > 0 else np.zeros_like(differences)
    judged = table.judged.any(axis=(0, 1))
    linear = fits.intercepts[0, at][:, None, None] + fits.difficulties[0, judged] + fits.slopes[0, at] * x[:, None]
    return np.asarray(100 * expit(linear).mean(axis=(0, 2)))
