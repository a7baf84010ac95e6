"""Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417), and SimPO (Meng et al. 2024, arXiv
2405.14734), which TRL has as a loss of it. Neither has a reference."""

from __future__ import annotations

from shared.methods.base import Preference

CPO = Preference("cpo", losses="one")
SIMPO = Preference("simpo", beta=2.0)
"""Its rewards are means over tokens: beta is ten times and more what a sum needs."""
