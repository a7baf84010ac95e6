"""What is reserved for a request, against what it takes."""

from __future__ import annotations

import random

import pytest

from shared.llm.chat import Answer, ChatRequest
from shared.llm.estimates import LONGEST, TokenEstimate


def request(characters: int = 400, max_tokens: int | None = 1000) -> ChatRequest:
    return ChatRequest(({"role": "user", "content": "x" * characters},), max_tokens=max_tokens)


def answer(input_tokens: int | None, output_tokens: int | None) -> Answer:
    return Answer("", "stop", input_tokens, output_tokens)


def test_before_anything_is_known_the_longest_answer_is_reserved() -> None:
    assert TokenEstimate().of(request(), 0) == 104 + 1000
    assert TokenEstimate().of(request(max_tokens=None), 0) == 104 + LONGEST


def test_an_answer_without_usage_teaches_nothing() -> None:
    estimate = TokenEstimate()
    assert estimate.learn(request(), answer(None, 5)) is None
    assert estimate.of(request(), 0) == 1104


@pytest.mark.parametrize("in_flight", [20, 200])
def test_requests_in_flight_together_rarely_take_more_than_was_reserved(in_flight: int) -> None:
    draw = random.Random(0)
    estimate = TokenEstimate()

    def ask() -> tuple[int, int]:
        asked = request(draw.randrange(100, 4000))
        used = answer(round(len(asked.messages[0]["content"]) / 3.3), min(1000, int(draw.expovariate(1 / 150))))
        reserved = estimate.of(asked, in_flight)
        return reserved, estimate.learn(asked, used) or 0

    for _ in range(100):
        ask()
    waves = [[ask() for _ in range(in_flight)] for _ in range(100)]
    shares = [sum(used for _, used in wave) / sum(reserved for reserved, _ in wave) for wave in waves]
    assert sum(share > 1 for share in shares) <= 10
    assert sum(shares) / len(shares) > 0.8


def test_no_more_than_the_longest_answer_is_ever_reserved() -> None:
    estimate = TokenEstimate()
    for _ in range(50):
        estimate.learn(request(), answer(100, 990))
    assert estimate.of(request(max_tokens=100), 1) <= 105 + 100
