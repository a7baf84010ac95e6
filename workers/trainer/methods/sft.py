"""Supervised fine-tuning on a teacher's demonstrations; the loss is on the completion alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa

from shared import records
from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods.base import Method, turn


class Sft(Method):
    """TRL's SFTTrainer on rows of prompt and completion."""

    name: ClassVar[str] = "sft"
    config: ClassVar[str] = "SFTConfig"
    trainer: ClassVar[str] = "SFTTrainer"
    tables: ClassVar[str] = "demonstrations"
    model: ClassVar[str] = "base"
    owned: ClassVar[frozenset[str]] = frozenset(
        {
            "assistant_only_loss",
            "chat_template_path",
            "completion_only_loss",
            "dataset_kwargs",
            "dataset_text_field",
            "eos_token",
        }
    )

    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        table = pa.concat_tables([table.select(records.COMPLETIONS.names) for table in tables])
        for row in table.select(["prompt_id", "prompt", "completion"]).to_pylist():
            for name in ("prompt", "completion"):
                if not (row[name] or "").strip():
                    raise PermanentError(f"demonstrations: prompt_id {row['prompt_id']!r} has an empty {name}")
        if not table.num_rows:
            raise PermanentError("demonstrations: there is no row to train on; give the teacher a larger fraction")
        return table.select(["prompt", "completion"])

    def example(self, row: dict[str, str]) -> dict[str, Any]:
        return {"prompt": turn("user", row["prompt"]), "completion": turn("assistant", row["completion"])}

    def arguments(self, job: Job) -> dict[str, Any]:
        return {"completion_only_loss": True}

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import tokens

        return tokens.count_demonstrations(trainer, rows)
