"""Direct preference optimisation (Rafailov et al. 2023, arXiv 2305.18290) from an SFT start, which is its reference.

TRL 1.16 takes its reference from wherever the model's configuration says it came from, unless the reference's
log-probabilities are computed beforehand, with the weights that were handed over. So they always are, and before the
first step they are compared with the start's own (`workers.trainer.reference`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods.base import Method, turn

USED = ["prompt_id", "prompt", "chosen", "rejected", "dropped"]


class Dpo(Method):
    """TRL's DPOTrainer on rows of prompt, chosen and rejected."""

    name: ClassVar[str] = "dpo"
    config: ClassVar[str] = "DPOConfig"
    trainer: ClassVar[str] = "DPOTrainer"
    tables: ClassVar[str] = "preferences"
    model: ClassVar[str] = "start"
    owned: ClassVar[frozenset[str]] = frozenset(
        {"beta", "precompute_ref_log_probs", "ref_model_mixup_alpha", "ref_model_sync_steps", "sync_ref_model"}
    )

    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        table = pa.concat_tables([table.select(USED) for table in tables])
        pairs = table.filter(pc.is_valid(table["chosen"]))
        if not pairs.num_rows:
            why = Counter(table["dropped"].to_pylist()).most_common(3)
            reasons = ", ".join(f"{reason or 'no reason given'}: {count}" for reason, count in why)
            raise PermanentError(f"preferences: none of {table.num_rows} rows makes a training pair ({reasons})")
        for row in pairs.select(["prompt_id", "prompt", "rejected"]).to_pylist():
            for name in ("prompt", "rejected"):
                if row[name] is None:
                    raise PermanentError(f"preferences: prompt_id {row['prompt_id']!r} has chosen but no {name}")
        return pairs.select(["prompt", "chosen", "rejected"])

    def example(self, row: dict[str, str]) -> dict[str, Any]:
        answers = {name: turn("assistant", row[name]) for name in ("chosen", "rejected")}
        return {"prompt": turn("user", row["prompt"]), **answers}

    def arguments(self, job: Job) -> dict[str, Any]:
        beta = {} if job.beta is None else {"beta": job.beta}
        return {**beta, "precompute_ref_log_probs": True}

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import reference, tokens

        return {**tokens.count_pairs(trainer, rows), **reference.prove(trainer, job)}
