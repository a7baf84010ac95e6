"""What a batch may cost and did cost: pure."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.llm.batch_money import affordable, batch_bound, batch_usd, spent
from shared.llm.batches import BatchState, Failure, OpenBatch
from shared.llm.chat import Answer, ChatRequest
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Price

PRICE = Price(input=1.0, output=10.0, cached_input=0.1)
REQUEST = ChatRequest(({"role": "user", "content": "x" * 68},), max_tokens=10)


def batch(*bounds: int) -> OpenBatch:
    keys = tuple(f"k{number}" for number in range(len(bounds)))
    return OpenBatch("id", "scope", "e", "s", {}, {"name": "n"}, keys, 0.0, budget="judge", bounds=bounds)


def test_a_request_is_bounded_at_a_batchs_price() -> None:
    assert batch_bound(REQUEST, Endpoint("m", price=PRICE)) == (100 * 1000 + 10 * 10_000) / 2
    dear = Price(input=1.0, output=10.0, batch=1.0)
    assert batch_bound(REQUEST, Endpoint("m", price=dear)) == 100 * 1000 + 10 * 10_000
    assert batch_bound(REQUEST, Endpoint("m")) == 0


def test_an_answer_costs_half_with_its_cached_tokens_for_less() -> None:
    assert batch_usd(PRICE, Answer("a", "stop", 50, 2, cached_input_tokens=20)) == pytest.approx(26e-6)
    assert batch_usd(PRICE, Answer("a", "stop")) is None
    assert batch_usd(None, Answer("a", "stop", 1, 1)) is None


@given(st.lists(st.integers(1, 100), min_size=1, max_size=20), st.integers(0, 1000))
def test_as_many_requests_are_submitted_as_can_be_paid_for_together(bounds: list[int], amount: int) -> None:
    paid = affordable(batch(*bounds), amount)
    assert sum(paid.bounds) <= amount
    assert bool(paid.keys) is (min(bounds) <= amount)
    left = [bound for key, bound in zip(batch(*bounds).keys, bounds, strict=True) if key not in paid.keys]
    assert all(bound > amount - sum(paid.bounds) for bound in left)
    assert [bounds[int(key[1:])] for key in paid.keys] == list(paid.bounds)


@pytest.mark.parametrize(
    ("rows", "state", "nano"),
    [
        ({"k0": Answer("a", "stop", 10, 1), "k1": Answer("b", "stop")}, BatchState("b", "completed", 2), 10_000 + 5),
        ({"k0": Failure("500"), "k1": Failure("502", billed=True)}, BatchState("b", "completed", 0), 5),
        ({}, BatchState("b", "expired", 0), 0),
        ({}, BatchState("b", "failed", 0), 0),
        ({}, BatchState("b", "expired", 1), 7),
        ({}, BatchState("b", "expired"), 12),
        ({"k0": Answer("a", "stop", 10, 1)}, BatchState("b", "completed", 1), 10_000),
        ({"k0": Answer("a", "stop", 10, 1)}, BatchState("b", "completed", 2), 10_000 + 5),
    ],
)
def test_what_has_no_result_counts_if_the_provider_says_that_it_was_answered(
    rows: dict[str, Answer | Failure], state: BatchState, nano: int
) -> None:
    assert spent(batch(7, 5), state, PRICE, rows) == nano
