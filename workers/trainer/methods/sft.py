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
        rows = table.select(["prompt_id", "prompt", "completion"]).to_pylist()
        if empty := next((row for row in rows if not (row["prompt"] or "").strip()), None):
            raise PermanentError(f"demonstrations: prompt_id {empty['prompt_id']!r} has an empty prompt")
        if not rows:
            raise PermanentError("demonstrations: there is no row to train on; give the teacher a larger fraction")
        says_something = [bool((row["completion"] or "").strip()) for row in rows]
        if not any(says_something):
            raise PermanentError(
                f"demonstrations: all {len(rows)} completions are empty; look at what the teacher says"
            )
        return table.filter(pa.array(says_something)).select(["prompt", "completion"])

    def example(self, row: dict[str, Any]) -> dict[str, Any]:
        return {"prompt": turn("user", row["prompt"]), "completion": turn("assistant", row["completion"])}

    def arguments(self, job: Job) -> dict[str, Any]:
        return {"completion_only_loss": True}

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import tokens

        return tokens.count_demonstrations(trainer, rows)
