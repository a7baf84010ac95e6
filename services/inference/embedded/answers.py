"""The bodies of answers, in OpenAI's shapes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.jobs import Delta, Job, TokenLogprob

REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class Envelope:
    """What all parts of one answer share."""

    kind: str
    model: str
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    def body(self, choices: list[dict[str, Any]], **rest: Any) -> dict[str, Any]:
        prefix = "chatcmpl" if self.kind.startswith("chat") else "cmpl"
        head = {"id": f"{prefix}-{self.id}", "object": self.kind, "created": self.created, "model": self.model}
        return {**head, "choices": choices, **rest}


def usage(jobs: Iterable[Job]) -> dict[str, int]:
    """Token counts; a completion's end token counts."""
    pairs = [(len(job.prompt), job.output_tokens) for job in jobs]
    prompt, completion = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def chat_choices(checkpoint: Checkpoint, job: Job, token_ids: bool = False) -> list[dict[str, Any]]:
    """A chat completion's choices; `token_ids` adds each one's tokens, its end token included."""
    return [
        {
            "index": row.index,
            "message": {"role": "assistant", "content": row.text},
            "logprobs": chat_logprobs(checkpoint, row.logprobs) if job.params.logprobs is not None else None,
            "finish_reason": row.finish,
            **({"token_ids": row.tokens} if token_ids else {}),
        }
        for row in job.rows
    ]


def chat_delta(checkpoint: Checkpoint, delta: Delta, logprobs: bool) -> dict[str, Any]:
    return {
        "index": delta.index,
        "delta": {"content": delta.text},
        "logprobs": chat_logprobs(checkpoint, delta.logprobs) if logprobs else None,
        "finish_reason": delta.finish,
    }


def chat_opening(index: int) -> dict[str, Any]:
    return {"index": index, "delta": {"role": "assistant", "content": ""}, "logprobs": None, "finish_reason": None}


def text_choices(
    checkpoint: Checkpoint, jobs: Sequence[Job], echo: Sequence[str | None], token_ids: bool = False
) -> list[dict[str, Any]]:
    """Choices of `jobs` in order, `n` for each; `echo` is each prompt's text to repeat, or None."""
    choices: list[dict[str, Any]] = []
    for job, prompt in zip(jobs, echo, strict=True):
        for row in job.rows:
            entries = [*job.prompt_logprobs, *row.logprobs]
            start = 0 if job.prompt_logprobs else len(prompt or "")
            choices.append(
                {
                    "index": len(choices),
                    "text": (prompt or "") + row.text,
                    "logprobs": text_logprobs(checkpoint, entries, start) if job.params.logprobs is not None else None,
                    "finish_reason": row.finish,
                    **({"token_ids": row.tokens} if token_ids else {}),
                }
            )
    return choices


def text_delta(checkpoint: Checkpoint, delta: Delta, index: int, offset: int, logprobs: bool) -> dict[str, Any]:
    return {
        "index": index,
        "text": delta.text,
        "logprobs": text_logprobs(checkpoint, delta.logprobs, offset) if logprobs else None,
        "finish_reason": delta.finish,
    }


def chat_logprobs(checkpoint: Checkpoint, entries: Iterable[TokenLogprob]) -> dict[str, Any]:
    """`logprobs` of a chat choice. `bytes` is null for a token that is not whole characters."""

    def named(token: int, logprob: float | None) -> dict[str, Any]:
        text = checkpoint.token_text(token)
        return {"token": text, "logprob": logprob, "bytes": None if REPLACEMENT in text else list(text.encode())}

    return {
        "content": [
            {**named(entry.token, entry.logprob), "top_logprobs": [named(*option) for option in entry.top]}
            for entry in entries
        ],
        "refusal": None,
    }


def text_logprobs(checkpoint: Checkpoint, entries: Iterable[TokenLogprob], offset: int) -> dict[str, Any]:
    """`logprobs` of a plain choice; offsets count the characters of the tokens' own texts from `offset`."""
    tokens: list[str] = []
    values: list[float | None] = []
    tops: list[dict[str, float] | None] = []
    offsets: list[int] = []
    for entry in entries:
        text = checkpoint.token_text(entry.token)
        tokens.append(text)
        values.append(entry.logprob)
        tops.append(None if entry.logprob is None else _named_top(checkpoint, entry))
        offsets.append(offset)
        offset += len(text)
    return {"tokens": tokens, "token_logprobs": values, "top_logprobs": tops, "text_offset": offsets}


def _named_top(checkpoint: Checkpoint, entry: TokenLogprob) -> dict[str, float]:
    """The likeliest tokens by their texts; of two with the same text the likelier."""
    named: dict[str, float] = {}
    for token, logprob in entry.top:
        named.setdefault(checkpoint.token_text(token), logprob)
    return named
