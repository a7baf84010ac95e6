"""A purse: what is taken, settled and given back, and what its file says after a kill."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from shared.budget import BudgetSpent
from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered, chat_error
from shared.llm.providers.base import Price
from shared.llm.purse import REPEAT, STALE, Overrun, Purse, bound_of
from shared.llm.pursefile import Owner, PurseFile, abandoned

PRICE = Price(input=1.0, output=10.0, cached_input=0.1)
REQUEST = ChatRequest(({"role": "user", "content": "x" * 68},), max_tokens=10)
BOUND = (68 + 16 + 16) * 1000 + 10 * 10_000
OWNER = Owner("e", "teach", "s" * 64)


def in_loop(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 10))


def purse(folder: Path, requests: int = 10, concurrency: int = 2) -> Purse:
    file = PurseFile.create(folder, OWNER)
    made = Purse(OWNER, PRICE, 4096, concurrency, file, asyncio.get_running_loop(), "reply")
    made.expect([REQUEST] * requests)
    return made


def grant(given: Purse, now: float, amount: int) -> None:
    asked = given.due(now)
    assert asked is not None
    given.answered(asked.seq, asked.limit + amount, None)


def test_a_bound_holds_for_any_text_and_any_answer() -> None:
    assert bound_of(REQUEST, PRICE, 4096) == BOUND
    written = Price(input=1.0, output=10.0, cache_write=1.25)
    assert bound_of(REQUEST, written, 4096) == BOUND + 25_000, "all of it may be written to a cache"
    assert bound_of(ChatRequest(({"role": "user", "content": "é\ud800"},)), PRICE, 5) == (5 + 32) * 1000 + 50_000


@pytest.mark.parametrize(
    ("outcome", "spent"),
    [
        (Answer("a", "stop", 50, 2, cached_input_tokens=20), 30 * 1000 + 20 * 100 + 2 * 10_000),
        (Answer("a", "stop"), BOUND),
        (Refused("", "no"), 0),
        (chat_error(429, "slow"), 0),
        (chat_error(500, "oh"), 0),
        (chat_error(504, "gateway"), BOUND),
        (Unanswered("base_url", "timed out"), BOUND),
        (Unanswered("base_url", "cannot be reached", unbilled=True), 0),
        (asyncio.CancelledError(), BOUND),
    ],
)
def test_what_a_request_may_have_cost_is_spent(tmp_path: Path, outcome: Any, spent: int) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        grant(given, 0.0, 3 * BOUND)
        payment = await given.take(REQUEST)
        assert given.spent == BOUND
        try:
            with payment.held():
                payment.begin()
                if isinstance(outcome, BaseException):
                    raise outcome
                payment.settle(outcome)
        except BaseException as error:
            assert error is outcome
        assert given.spent == spent
        assert given.file.read() == (OWNER, spent)

    in_loop(work())


def test_a_request_that_never_left_costs_nothing(tmp_path: Path) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        grant(given, 0.0, BOUND)
        with pytest.raises(TimeoutError), (await given.take(REQUEST)).held():
            raise TimeoutError
        assert given.spent == 0

    in_loop(work())


def test_the_file_of_a_killed_process_counts_what_was_in_flight_in_full(tmp_path: Path) -> None:
    async def work() -> Purse:
        given = purse(tmp_path)
        grant(given, 0.0, 5 * BOUND)
        with (await given.take(REQUEST)).held() as payment:
            payment.begin()
            payment.settle(Answer("a", "stop", 10, 1))
        (await given.take(REQUEST)).begin()
        await given.take(REQUEST)
        return given

    given = in_loop(work())
    given.file.close()
    with next((tmp_path / "e").glob("*.jsonl")).open("a") as file:
        file.write("+ 9 1000")  # torn: its request never left
    (found,) = abandoned(tmp_path)
    assert found.name == given.name
    assert found.read() == (OWNER, 20_000 + BOUND)
    found.remove()
    assert list(abandoned(tmp_path)) == []


def test_bounds_grow_with_the_dearest_answer_where_an_endpoint_passes_them(tmp_path: Path) -> None:
    dear = Answer("a", "length", 100, 75)

    async def work() -> None:
        given, overrun = purse(tmp_path), Overrun()
        given._overrun = overrun
        grant(given, 0.0, 20 * BOUND)
        with (await given.take(REQUEST)).held() as payment:
            payment.begin()
            payment.settle(dear)
        cost = 100 * 1000 + 75 * 10_000
        assert given.spent == cost and overrun.factor == pytest.approx(cost / BOUND)
        second = await given.take(REQUEST)
        assert second.bound == pytest.approx(cost, abs=2)
        other = Purse(
            OWNER, PRICE, 4096, 2, PurseFile.create(tmp_path, OWNER), asyncio.get_running_loop(), "r", overrun
        )
        other.expect([REQUEST] * 10)
        asked = other.due(0.0)
        assert asked is not None and asked.wanted == pytest.approx(4 * cost, rel=0.01)

    in_loop(work())


def test_usage_that_cannot_be_right_never_gives_money_back(tmp_path: Path) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        grant(given, 0.0, 3 * BOUND)
        for answer in (Answer("a", "stop", 5, 1, cached_input_tokens=10**9), Answer("a", "stop", -(10**9), 1)):
            before = given.spent
            with (await given.take(REQUEST)).held() as payment:
                payment.begin()
                payment.settle(answer)
            assert given.spent >= before

    in_loop(work())


def test_a_question_is_repeated_until_it_is_answered_and_then_replaced(tmp_path: Path) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        first = given.due(0.0)
        assert first is not None and first.wanted >= first.least > 0
        assert given.due(REPEAT / 2) is None
        assert given.due(REPEAT) == first
        later = given.due(STALE + 0.1)
        assert later is not None and later.seq == first.seq + 1
        given.answered(first.seq, 99 * BOUND, None)
        assert given.spent == 0 and given.due(STALE + REPEAT + 0.2) == later
        given.answered(later.seq, 50 * BOUND, None)
        word = given.due(STALE + 9)
        assert word is not None and word.wanted == 0

    in_loop(work())


def test_what_is_too_little_for_any_request_is_given_back_with_the_next_question(tmp_path: Path) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        grant(given, 0.0, BOUND - 1)
        waiting = asyncio.create_task(given.take(REQUEST))
        await asyncio.sleep(0)
        asked = given.due(1.0)
        assert asked is not None
        assert (asked.limit, asked.least, asked.busy) == (0, BOUND, False)
        given.answered(asked.seq, BOUND, None)
        await waiting
        assert given.spent == BOUND

    in_loop(work())


def test_a_refusal_reaches_everybody_who_waits_but_not_while_requests_are_in_flight(tmp_path: Path) -> None:
    async def work() -> None:
        given = purse(tmp_path)
        grant(given, 0.0, BOUND)
        first = await given.take(REQUEST)
        waiting = [asyncio.create_task(given.take(REQUEST)) for _ in range(2)]
        await asyncio.sleep(0)
        asked = given.due(1.0)
        assert asked is not None and asked.busy
        given.answered(asked.seq, None, "budget: gone")
        with first.held():
            first.begin()
            first.settle(Answer("a", "stop"))
        asked = given.due(2.0) or given.due(2.0 + STALE)
        assert asked is not None
        given.answered(asked.seq, None, "budget: gone")
        for one in waiting:
            with pytest.raises(BudgetSpent, match="budget: gone"):
                await one
        with pytest.raises(BudgetSpent):
            await given.take(REQUEST)

    in_loop(work())
