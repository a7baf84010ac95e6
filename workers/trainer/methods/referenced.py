"""The methods of pairs whose reference is the start.

TRL computes the reference's log-probabilities beforehand, with the weights it was handed. Where the ranks share the
model, that is before it is divided, and too large for one device perhaps: then the reference is a second copy of the
start, divided at once, and let go of when its log-probabilities are there.
"""

from __future__ import annotations

import sys
from typing import Any, ClassVar

from shared.methods import SHARED_REFERENCE
from workers.trainer import references
from workers.trainer.job import Job
from workers.trainer.methods.owned import REFERENCE
from workers.trainer.methods.pairs import Pairs


class WithReference(Pairs):
    """A method of TRL's DPOTrainer's kind."""

    owned: ClassVar[frozenset[str]] = frozenset({"beta"}) | REFERENCE

    def arguments(self, job: Job) -> dict[str, Any]:
        return {**super().arguments(job), SHARED_REFERENCE: True}

    def adapted(self, trainer: type[Any], job: Job) -> type[Any]:
        return references.adapted(trainer, job)

    def companions(self, model: Any, tokenizer: Any, job: Job) -> dict[str, Any]:
        if job.strategy == "ddp":
            return {}
        from workers.trainer import loading, sharding

        module = sys.modules[self.classes()[1].__module__]
        # TRL's own would gather the whole reference on every device.
        module.prepare_fsdp = sharding.divided  # type: ignore[attr-defined]
        return {"ref_model": loading.load(job)[0]}

    def changed(self, trainer: Any) -> Any:
        trainer.ref_model = None
        return trainer
