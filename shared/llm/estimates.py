"""How many tokens a request will take, before it is sent: what the limiter reserves until the answer says.

No tokeniser is needed: four characters a token to begin with, then the ratio that this endpoint's own usage shows; for
the answer the longest allowed to begin with, then what answers took so far.
"""

from __future__ import annotations

import math

from shared.llm.chat import Answer, ChatRequest

CHARACTERS = 4.0
A_MESSAGE = 4.0
LONGEST = 1024
"""Tokens of an answer, where neither the request nor experience bounds it."""
WEIGHT = 0.05


class TokenEstimate:
    """Learns from each answer. The answers' mean is raised by two standard errors of the sum of those in flight, so
    that together they rarely take more than was reserved, and little more is reserved than they take."""

    def __init__(self) -> None:
        self._seen = 0
        self._ratio = 1.0
        self._mean = 0.0
        self._deviation = 0.0

    def of(self, request: ChatRequest, in_flight: int) -> int:
        """Tokens in and out, rounded up."""
        most = request.max_tokens or LONGEST
        if self._seen:
            expected = self._mean + 2.5 * self._deviation / math.sqrt(max(1, in_flight))
            output = min(expected, most) if request.max_tokens else expected
        else:
            output = most
        return max(1, math.ceil(_input(request) * self._ratio + output))

    def learn(self, request: ChatRequest, answer: Answer) -> int | None:
        """The tokens that the answer says were used; None where it does not say."""
        if answer.input_tokens is None or answer.output_tokens is None:
            return None
        self._seen += 1
        weight = max(WEIGHT, 1 / self._seen)
        self._ratio += weight * (answer.input_tokens / _input(request) - self._ratio)
        off = answer.output_tokens - self._mean
        self._mean += weight * off
        # Mean absolute deviation, 0.8 of the standard one if answers are normal; the first answer stands for it alone.
        self._deviation = (
            answer.output_tokens / 2 if self._seen == 1 else self._deviation + weight * (abs(off) - self._deviation)
        )
        return answer.input_tokens + answer.output_tokens


def _input(request: ChatRequest) -> float:
    return sum(A_MESSAGE + len(message["content"]) / CHARACTERS for message in request.messages)
