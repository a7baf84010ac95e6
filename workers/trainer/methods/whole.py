"""What TRL's experimental trainers of pairs have in common: no reference, and tokens that they make from text.

They put the tokenizer's begin token before a prompt whose template has none. Nobody else here does, sampling least of
all, so they are handed a tokenizer without one. A prompt that fills max_length would leave them an empty completion,
whose mean log-probability does not exist; such rows are left out before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from workers.trainer.job import Job
from workers.trainer.methods.pairs import Pairs

LONGEST = 1024
"""TRL's own max_length, where the spec gives none."""


class WithoutReference(Pairs):
    """A method of TRL's ORPOTrainer's kind."""

    owned: ClassVar[frozenset[str]] = frozenset(
        {"beta", "generate_during_eval", "is_encoder_decoder", "max_completion_length"}
    )

    def examples(self, rows: Any, tokenizer: Any, job: Job) -> Any:
        longest = job.max_length or LONGEST

        def fits(row: dict[str, Any]) -> bool:
            ids = tokenizer.apply_chat_template(row["prompt"], add_generation_prompt=True, return_dict=True)
            return len(ids["input_ids"]) < longest

        return rows.filter(fits)

    @contextmanager
    def tokenizing(self, tokenizer: Any) -> Iterator[None]:
        begin = tokenizer.bos_token
        tokenizer.bos_token = None
        try:
            yield
        finally:
            tokenizer.bos_token = begin

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import tokens

        none = {"once": 0.0, "every_epoch": 0.0}
        return {**tokens.count_joined(trainer, rows), "forward_passes": none}

    def trained_tokens(self, trainer: Any) -> int | None:
        from workers.trainer import tokens

        return round(tokens.joined_tokens(trainer) * (trainer.state.epoch or 0.0))
