"""What batches may cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import redis

from shared.budget import Budget, BudgetSpent, counted
from shared.errors import Later, Outage, PermanentError, StageError
from shared.llm import batch_money
from shared.llm.batches import OpenBatch, open_names, read_open
from shared.llm.caller import Answers, answer_all
from shared.llm.chat import ChatRequest
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Price
from shared.llm.providers.openai import OpenAIModel
from shared.llm.session import Session
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.llm import batchstandin
from tests.integration.llm.asking import Watcher
from tests.integration.llm.batchstandin import BatchStandIn, answered, refused
from tests.integration.llm.conducting import ORIGIN, accounts, conducting
from tests.waiting import wait_until

PRICE = Price(input=1.0, output=2.0)
ENDPOINT = Endpoint("judge", price=PRICE, batch=True, max_tokens=10)
# Of a request (35 tokens in and 10 out at most) and of an answer (10 in, 5 out), in nanodollars, at half the price.
BOUND, COST = 27_500, 10_000


@pytest.fixture
def provider() -> Iterator[BatchStandIn]:
    with batchstandin.running() as made:
        yield made


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"batch_seconds": 0.2})


def ask(session: Session, provider: BatchStandIn, count: int) -> Answers:
    identity = OpenAIModel(provider="openai", model="m", base_url=provider.url).identity()
    return answer_all(requests(count), identity, ENDPOINT, session, Watcher(budget="judge"), ORIGIN)


def requests(count: int) -> list[ChatRequest]:
    return [ChatRequest(({"role": "user", "content": f"q{number:02}"},)) for number in range(count)]


def promised(store: S3Store) -> int:
    return counted(accounts(store).values())


def ask_until(session: Session, provider: BatchStandIn, count: int, look: Callable[[], object]) -> Answers:
    """Ask as the conductor would, with a look after each attempt, until the answers are there or it raises."""

    def attempt() -> Answers | None:
        try:
            return ask(session, provider, count)
        except Later:
            look()
            return None

    found = wait_until(attempt, 60, "the answers", every=0.1)
    assert found is not None
    return found


def sizes(provider: BatchStandIn) -> list[int]:
    return [batch["request_counts"]["total"] for batch in provider.batches]


def test_upper_bounds_are_promised_before_a_batch_leaves_and_settled_when_its_answers_are_in(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    provider.ending = None
    at_the_door: list[int] = []
    provider.before = lambda call: at_the_door.append(promised(store)) if call == "POST /v1/files" else None
    with conducting(store, redis_server, 10**9):
        with pytest.raises(Later, match="batch_0 of 20"):
            ask(session, provider, 20)
        assert at_the_door == [20 * BOUND] == [promised(store)]
        redis_server.flushall()
        with pytest.raises(Later, match="batch_0 of 20"):
            ask(session, provider, 20)
        assert promised(store) == 20 * BOUND
        provider.ending = "completed"
        assert len(ask_until(session, provider, 20, lambda: None).entries) == 20
    assert promised(store) == 20 * COST and all(account.closed for account in accounts(store).values())
    assert sizes(provider) == [20]


def test_what_the_money_allows_is_submitted_and_what_comes_back_pays_for_more_until_nothing_is_left(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    budget = 7 * BOUND

    def look() -> None:
        assert promised(store) <= budget

    with conducting(store, redis_server, budget) as conductor:
        with pytest.raises(BudgetSpent, match=r"budget: \$.* are spent; a request needs up to \$2.75e-05\. Raise it"):
            ask_until(session, provider, 20, look)
        assert sizes(provider) == [7, 4, 3, 1, 1, 1]
        assert promised(store) == 17 * COST
        wait_until(lambda: conductor.blocked() == [ORIGIN.stage], 10, "the stage to be paused")
        conductor.budget = Budget(10**9)
        wait_until(lambda: conductor.blocked() == [], 10, "the stage to be freed")
        assert len(ask_until(session, provider, 20, look).entries) == 20
    assert set(provider.asked.values()) == {1}
    assert promised(store) == 20 * COST


def test_a_stage_with_a_batch_out_is_not_paused_and_says_what_it_waits_for(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    provider.ending = None
    with conducting(store, redis_server, 3 * BOUND) as conductor:
        for _ in range(2):
            with pytest.raises(Later, match=r"2 requests wait for money that is promised to batches"):
                ask(session, provider, 5)
        assert conductor.blocked() == []
    assert sizes(provider) == [3]


def test_without_a_conductor_nothing_is_submitted_or_promised(
    session: Session, provider: BatchStandIn, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_money, "PATIENCE", 1.0)
    with pytest.raises(Later, match="5 requests wait for money"):
        ask(session, provider, 5)
    assert provider.calls.total() == 0
    assert list(open_names(store)) == [] and promised(store) == 0


@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches"])
def test_a_refused_batch_costs_nothing(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis, call: str
) -> None:
    provider.refuse = lambda made: (400, {"error": {"message": "no"}}) if made == call else None
    with conducting(store, redis_server, 10**9), pytest.raises(PermanentError, match="400: no"):
        ask(session, provider, 5)
    assert promised(store) == 0


def test_a_batch_whose_submitter_died_before_it_left_gives_its_money_back(
    session: Session, new_session: Callable[[Path | None], Session], provider: BatchStandIn, store: S3Store,
    redis_server: redis.Redis, tmp_path: Path,
) -> None:  # fmt: skip
    # As if it were killed: nothing of the provider's was reached, and nothing could be tidied up.
    provider.refuse = lambda call: (503, {}) if call == "POST /v1/files" else None
    with conducting(store, redis_server, 5 * BOUND):
        with pytest.raises(Outage, match="503"):
            ask(session, provider, 5)
        assert promised(store) == 5 * BOUND and len(list(open_names(store))) == 1
        provider.refuse = lambda call: None
        other = new_session(tmp_path / "other")
        assert len(ask_until(other, provider, 5, lambda: None).entries) == 5
    assert promised(store) == 5 * COST
    assert sizes(provider) == [5]


def test_what_a_batch_that_ended_badly_may_have_cost_is_counted(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    def reply(prompt: str, before: int) -> batchstandin.Row:
        if before:
            return answered(prompt)
        return {"q00": refused(500, "oh"), "q01": refused(502, "gateway")}.get(prompt, answered(prompt))

    provider.reply = reply
    provider.ending = None
    with conducting(store, redis_server, 10**9):
        with pytest.raises(Later):
            ask(session, provider, 8)
        provider.end(provider.batches[0], "expired", most=4)
        with pytest.raises(Later, match=r"\d requests failed|of a batch's requests failed"):
            ask(session, provider, 8)
        # Two answers, and the gateway's in full; the provider's own 500 and what was not reached are free.
        assert counted(account for account in accounts(store).values() if account.closed) == 2 * COST + BOUND
        provider.ending = "completed"
        ask_until(session, provider, 8, lambda: None)
    assert promised(store) == 8 * COST + BOUND


def test_a_batch_that_the_provider_lost_counts_in_full(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    provider.ending = None
    with conducting(store, redis_server, 10**9):
        with pytest.raises(Later):
            ask(session, provider, 3)
        provider.refuse = lambda call: (404, {}) if call.startswith("GET /v1/batches/") else None
        with pytest.raises(StageError):
            ask(session, provider, 3)
    assert promised(store) == 3 * BOUND


def test_a_cancelled_batch_pays_for_what_was_answered(
    session: Session, provider: BatchStandIn, store: S3Store, redis_server: redis.Redis
) -> None:
    provider.ending = None
    with conducting(store, redis_server, 10**9), pytest.raises(Later):
        ask(session, provider, 10)
    (name,) = open_names(store)

    def cancelled() -> bool:
        session.batches.cancel(name)
        return not list(open_names(store))

    wait_until(cancelled, 20, "the batch to be closed")
    assert promised(store) == 3 * COST


@pytest.mark.parametrize("price", [Price(input=0, output=0), Price(input=1, output=1, batch=0), None])
def test_what_costs_nothing_asks_for_no_money(
    session: Session, provider: BatchStandIn, store: S3Store, price: Price | None
) -> None:
    identity = OpenAIModel(provider="openai", model="m", base_url=provider.url).identity()

    def attempt() -> Any:
        endpoint = replace(ENDPOINT, price=price)
        try:
            return answer_all(requests(3), identity, endpoint, session, Watcher(budget="judge"), ORIGIN)
        except Later:
            return None

    assert wait_until(attempt, 20, "the answers", every=0.1)
    assert accounts(store) == {}


def test_an_open_batch_keeps_its_bounds(store: S3Store) -> None:
    made = OpenBatch("ID", "scope", "e", "ab" * 32, {}, {"name": "n"}, ("k", "l"), 1.0, budget="judge", bounds=(3, 4))
    made.write(store)
    assert read_open(store, made.name) == made
    assert made.purse == "batchid"
