"""Odds-ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691): no reference; beta is its λ."""

from __future__ import annotations

from shared.methods.base import Preference

ORPO = Preference("orpo")
