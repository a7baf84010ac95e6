"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) from an SFT start, which is its reference.

TRL 1.16 takes its reference from wherever the model's configuration says it came from, unless the reference's
log-probabilities are computed beforehand, with the weights that were handed over. So they always are, here or in a
stage of their own (`workers.trainer.scoring`), and before the first step they are compared with the start's own
(`workers.trainer.reference`).
"""

from __future__ import annotations

from typing import Any, ClassVar

from workers.trainer import references
from workers.trainer.job import Job
from workers.trainer.methods.referenced import WithReference


class Dpo(WithReference):
    """TRL's DPOTrainer, with whatever of its losses the spec names."""

    name: ClassVar[str] = "dpo"
    config: ClassVar[str] = "DPOConfig"
    trainer: ClassVar[str] = "DPOTrainer"

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import reference, tokens

        counts: dict[str, Any] = tokens.count_pairs(trainer, rows)
        if job.reference == "given":
            table, longest = trainer.train_dataset, trainer.args.max_length
            for name in ("chosen", "rejected"):
                references.check_tokens(table[f"ref_{name}_tokens"], tokens.completion_tokens(table, name, longest))
            counts["forward_passes"] = references.NONE
        return {**counts, **reference.prove(trainer, job)}
