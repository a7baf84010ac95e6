"""Kahneman-Tversky optimisation (Ethayarajh et al. 2024, arXiv 2402.01306): every completion by itself, good or bad.

A pair becomes two rows. TRL trains on them in the order given, as its KL term pairs each prompt with a neighbour's
completion; so they are shuffled here, by the seed, or a batch would hold good ones alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa

from workers.trainer import references
from workers.trainer.job import Job
from workers.trainer.methods.base import turn
from workers.trainer.methods.referenced import WithReference


class Kto(WithReference):
    """TRL's KTOTrainer; the reference is the start, by log-probabilities computed beforehand, as DPO's is."""

    name: ClassVar[str] = "kto"
    config: ClassVar[str] = "KTOConfig"
    trainer: ClassVar[str] = "KTOTrainer"

    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        pairs = super().rows(tables)
        return pa.concat_tables([_half(pairs, name) for name in ("chosen", "rejected")])

    def example(self, row: dict[str, Any]) -> dict[str, Any]:
        return {
            "prompt": turn("user", row["prompt"]),
            "completion": turn("assistant", row["completion"]),
            "label": row["label"],
        }

    def examples(self, rows: Any, tokenizer: Any, job: Job) -> Any:
        return rows.shuffle(seed=job.seed)

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import reference, tokens

        kl = bool(trainer.calculate_KL)
        # The KL term has a forward pass of its own in every step, and a reference's beforehand.
        passes = {"once": 2.0 if kl else 1.0, "every_epoch": 1.0 if kl else 0.0}
        counts = tokens.count_unpaired(trainer, rows)
        if job.reference == "given":
            table, longest = trainer.train_dataset, trainer.args.max_length
            references.check_tokens(table["ref_tokens"], tokens.completion_tokens(table, "completion", longest))
            passes = references.NONE
        return {**counts, "forward_passes": passes, **reference.prove_unpaired(trainer, job)}


def _half(pairs: pa.Table, name: str) -> pa.Table:
    """The chosen or the rejected completions of pairs, and their reference where there is one."""
    columns = {"prompt": pairs["prompt"], "completion": pairs[name], "label": [name == "chosen"] * len(pairs)}
    for what in ("logps", "tokens"):
        if f"ref_{name}_{what}" in pairs.column_names:
            columns[f"ref_{what}"] = pairs[f"ref_{name}_{what}"]
    return pa.table(columns)
