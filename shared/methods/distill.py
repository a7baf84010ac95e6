"""On-policy distillation (Agarwal et al. 2024, arXiv 2306.13649): the policy writes, and an open-weight teacher's
probabilities of each next token say how it should have gone on."""

from __future__ import annotations

from shared.methods.base import Preference

DISTILL = Preference("distill", beta=1.0, guide="teacher", least_beta=0.0, most_beta=1.0)
"""beta chooses the divergence: 0 the forward KL, 1 the reverse KL, between them a Jensen-Shannon one."""
