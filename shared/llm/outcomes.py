"""What became of a request that was answered: whether its answer is one, and which are asked again. Pure.

An answer that is none is kept in the ledger, counted and shown as such. It is asked again only where the model's
`reask` says so; the k-th time has a ledger key of its own (`ChatRequest.retry`), so that no time is paid twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from shared.llm.chat import Answer

Outcome = Literal["answered", "refused", "truncated", "filtered", "empty"]
FINISHED: dict[str, Outcome] = {"length": "truncated", "content_filter": "filtered", "refusal": "refused"}
"""By finish reason; every provider's are put into these words."""

Accept = Callable[[int, Answer], str | None]
"""Looks at the answer to the request of this index: None where it will do, else why not (`unparsable`)."""


def outcome(answer: Answer) -> Outcome:
    """What an answer is, as far as its endpoint and its text say."""
    return FINISHED.get(answer.finish_reason) or ("answered" if answer.text.strip() else "empty")


def due(
    answers: Sequence[Answer], limits: Mapping[str, int], retry: int, accept: Accept | None = None
) -> dict[int, str]:
    """The answers, by index, that are to be asked for the `retry`-th further time, and why.

    `limits`: for each reason, how many further times at most.
    """
    reasons = {index: _reason(index, answer, accept) for index, answer in enumerate(answers)}
    return {index: why for index, why in reasons.items() if limits.get(why, 0) >= retry}


def _reason(index: int, answer: Answer, accept: Accept | None) -> str:
    found = outcome(answer)
    if found != "answered" or accept is None:
        return found
    return accept(index, answer) or found
