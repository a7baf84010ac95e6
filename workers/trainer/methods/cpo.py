"""Contrastive preference optimisation (Xu et al. 2024, arXiv 2401.08417), and SimPO (Meng et al. 2024, arXiv
2405.14734), which TRL has as a loss of the same trainer."""

from __future__ import annotations

from typing import Any, ClassVar

from workers.trainer.job import Job
from workers.trainer.methods.whole import WithoutReference


class Cpo(WithoutReference):
    """TRL's experimental CPOTrainer."""

    name: ClassVar[str] = "cpo"
    module: ClassVar[str] = "trl.experimental.cpo"
    config: ClassVar[str] = "CPOConfig"
    trainer: ClassVar[str] = "CPOTrainer"


class Simpo(Cpo):
    """Its loss `simpo`, and no SFT term unless the spec gives cpo_alpha: SimPO has none."""

    name: ClassVar[str] = "simpo"
    owned: ClassVar[frozenset[str]] = Cpo.owned | {"loss_type"}

    def arguments(self, job: Job) -> dict[str, Any]:
        alpha = job.args.get("cpo_alpha", 0.0)
        return {**super().arguments(job), "loss_type": "simpo", "cpo_alpha": alpha}
