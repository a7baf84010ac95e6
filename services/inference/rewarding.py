"""`python -m services.inference.rewarding`: score completions with sequence-classification checkpoints.

Each line of standard input is a `Job`. Of each it writes lines of JSON to standard output: `{"done": n}` now and then,
at last `{"seconds": s}` or `{"error": words, "permanent": bool}`. Between jobs it holds no model. It ends when its
worker does. The only file of the inference service besides the embedded engine's that imports torch.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from pydantic import BaseModel
from transformers import AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar, set_verbosity_error

from services.inference.embedded.checkpoint import DTYPES, context_limit
from services.inference.lifeline import end_with_worker
from shared.errors import PermanentError
from shared.machine_lock import hold


class Job(BaseModel):
    """What is scored: `rows` is Parquet with prompt and completion; `out` gets reward and tokens, row by row."""

    folder: Path
    rows: Path
    out: Path
    lock: Path
    dtype: str
    max_length: int | None = None
    batch_size: int = 16
    threads: int = 1


class Rater:
    """A loaded checkpoint with one output, and its tokenizer.

    Raises:
        PermanentError: the folder holds no such model, or not all of its weights.
    """

    def __init__(self, folder: Path, dtype: str, max_length: int | None) -> None:
        # No code of the model's own, and no pickles.
        safe = {"local_files_only": True, "trust_remote_code": False}
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder, **safe)
            self._model, loaded = AutoModelForSequenceClassification.from_pretrained(
                folder, dtype=DTYPES[dtype], use_safetensors=True, output_loading_info=True, **safe
            )
        except (OSError, ValueError, KeyError) as error:
            raise PermanentError(f"the reward model cannot be loaded: {error}") from error
        # Where the head is missing transformers makes one up, and its rewards would be noise.
        if missing := sorted(loaded["missing_keys"]):
            raise PermanentError(f"the checkpoint lacks {', '.join(missing[:3])}: it is no sequence classifier")
        if self._model.config.num_labels != 1:
            raise PermanentError(f"the model has {self._model.config.num_labels} outputs, and a reward model has one")
        self._model.eval()
        self._limit = min(length for length in (max_length, context_limit(self._model.config)) if length)
        self._pad = self._tokenizer.pad_token_id
        self._model.config.pad_token_id = self._pad

    def tokens(self, prompt: str, completion: str) -> list[int]:
        """The conversation by the chat template, or else both texts as a pair; what is too long loses its end."""
        if self._tokenizer.chat_template:
            turns = [{"role": "user", "content": prompt}, {"role": "assistant", "content": completion}]
            text = self._tokenizer.apply_chat_template(turns, tokenize=False)
            found = self._tokenizer.encode(text, add_special_tokens=False)
        else:
            found = self._tokenizer(prompt, completion)["input_ids"]
        return list(found)[: self._limit]

    def rewards(self, rows: list[list[int]], batch_size: int, report: Callable[[int], None]) -> list[float]:
        """The output for each row of tokens. Rows of like length share a batch; without a pad token each is its own."""
        found = [0.0] * len(rows)
        order = sorted(range(len(rows)), key=lambda at: len(rows[at]))
        size = 1 if self._pad is None else batch_size
        for first in range(0, len(order), size):
            batch = order[first : first + size]
            for at, value in zip(batch, self._outputs([rows[at] for at in batch]), strict=True):
                found[at] = value
            report(first + len(batch))
        return found

    def _outputs(self, rows: list[list[int]]) -> Iterator[float]:
        longest = max(map(len, rows))
        ids = torch.tensor([row + [self._pad or 0] * (longest - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
        with torch.inference_mode():
            logits = self._model(input_ids=ids, attention_mask=mask).logits
        yield from logits[:, 0].float().tolist()


def score(job: Job, say: Callable[[dict[str, Any]], None]) -> None:
    """Do a job. Raises what `Rater` raises."""
    torch.set_num_threads(job.threads)
    lock = hold(job.lock)
    started = time.monotonic()
    rater = Rater(job.folder, job.dtype, job.max_length)
    table = pq.read_table(job.rows)
    texts = zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True)
    rows = [rater.tokens(prompt, completion) for prompt, completion in texts]
    rewards = rater.rewards(rows, job.batch_size, lambda done: say({"done": done}))
    pq.write_table(pa.table({"reward": pa.array(rewards, pa.float64()), "tokens": [len(row) for row in rows]}), job.out)
    os.close(lock)
    say({"seconds": time.monotonic() - started})


def main() -> None:
    out = os.dup(1)
    os.dup2(2, 1)
    disable_progress_bar()
    set_verbosity_error()

    def say(message: dict[str, Any]) -> None:
        os.write(out, json.dumps(message).encode() + b"\n")

    end_with_worker()
    for line in sys.stdin.buffer:
        try:
            score(Job.model_validate_json(line), say)
        except Exception as error:  # whatever it was, the worker says it
            permanent = isinstance(error, PermanentError)
            say({"error": str(error) if permanent else f"{type(error).__name__}: {error}", "permanent": permanent})


if __name__ == "__main__":
    main()
