"""Odds-ratio preference optimisation (Hong et al. 2024, arXiv 2403.07691): SFT on the chosen, and an odds ratio."""

from __future__ import annotations

from typing import ClassVar

from workers.trainer.methods.whole import WithoutReference


class Orpo(WithoutReference):
    """TRL's experimental ORPOTrainer; beta is the paper's λ."""

    name: ClassVar[str] = "orpo"
    module: ClassVar[str] = "trl.experimental.orpo"
    config: ClassVar[str] = "ORPOConfig"
    trainer: ClassVar[str] = "ORPOTrainer"
    owned: ClassVar[frozenset[str]] = WithoutReference.owned | {"padding_value"}
