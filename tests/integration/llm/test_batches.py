"""Asking through a Batch API, in one process: what is submitted, what comes back, and what is paid."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Later, Outage, PermanentError, StageError
from shared.llm import batches
from shared.llm.batches import OpenBatch, split
from shared.llm.caller import Answers, Origin, answer_all
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Price
from shared.llm.providers.openai import OpenAIModel
from shared.llm.session import Session
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.llm import batchstandin
from tests.integration.llm.asking import ORIGIN, Watcher, requests
from tests.integration.llm.batchstandin import BatchStandIn, answered, refused
from tests.waiting import wait_until

OTHER = Origin("another", "other-stage")
PRICE = Price(input=1.0, output=2.0)
NewSession = Callable[[Path | None], Session]


def names(store: S3Store) -> list[str]:
    return list(batches.open_names(store))


@pytest.fixture
def provider() -> Iterator[BatchStandIn]:
    with batchstandin.running() as made:
        yield made


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"batch_seconds": 0.2})


def ask(
    session: Session, provider: BatchStandIn, count: int, origin: Origin = ORIGIN, batch: bool = True, **more: Any
) -> Answers:
    identity = OpenAIModel(provider="openai", model="m", base_url=provider.url).identity()
    endpoint = Endpoint("judge", price=PRICE, batch=batch)
    return answer_all(requests(count), identity, endpoint, session, Watcher(), origin, **more)


def wait_for(session: Session, provider: BatchStandIn, count: int, **more: Any) -> Answers:
    """Ask until the answers are there, as the conductor would."""

    def attempt() -> Answers | None:
        try:
            return ask(session, provider, count, **more)
        except Later:
            return None

    found = wait_until(attempt, 30, "the batch's answers", every=0.1)
    assert found is not None
    return found


def test_a_batch_is_submitted_waited_for_and_taken_in_at_half_the_price(
    session: Session, provider: BatchStandIn, store: S3Store
) -> None:
    provider.ending = None
    with pytest.raises(Later, match=r"batch_0 of 20 requests is in_progress \(0 done\); looked at again in 0.2 s"):
        ask(session, provider, 20)
    with pytest.raises(Later):
        ask(session, provider, 20)
    assert (provider.calls["POST /v1/files"], provider.calls["POST /v1/batches"]) == (1, 1)
    (name,) = names(store)
    assert batches.stage_of(name) == ORIGIN.stage
    assert provider.batches[0]["endpoint"] == "/v1/chat/completions"
    provider.ending = "completed"
    answers = ask(session, provider, 20)
    assert [entry.answer.text for entry in answers.entries] == [f"re: q{number}" for number in range(20)]
    assert answers.usd(ORIGIN) == pytest.approx(20 * (10 * 1 + 5 * 2) / 1e6 / 2)
    assert names(store) == []
    assert set(provider.asked.values()) == {1}
    calls = provider.calls.total()
    ask(session, provider, 20)
    assert provider.calls.total() == calls


def test_what_the_ledger_has_is_in_no_batch(session: Session, provider: BatchStandIn) -> None:
    ask(session, provider, 5, batch=False)
    assert len(wait_for(session, provider, 12).entries) == 12
    assert provider.batches[0]["request_counts"]["total"] == 7
    assert set(provider.asked.values()) == {1}


def test_a_request_in_a_batch_is_sent_by_nobody_else_in_either_mode_or_on_another_host(
    session: Session, new_session: NewSession, provider: BatchStandIn, tmp_path: Path
) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    other = new_session(tmp_path / "other")
    for mode in (True, False):
        with pytest.raises(Later, match="batch batch_0 of 10"):
            ask(other, provider, 10, origin=OTHER, batch=mode)
    with pytest.raises(Later):
        ask(other, provider, 13, origin=OTHER, batch=False)
    assert provider.asked == {"q10": 1, "q11": 1, "q12": 1}
    provider.ending = "completed"
    answers = ask(other, provider, 13, origin=OTHER, batch=False)
    assert set(provider.asked.values()) == {1}
    assert answers.usd(OTHER) < answers.usd()


def test_only_failed_rows_are_submitted_again_and_their_words_are_said(
    session: Session, provider: BatchStandIn
) -> None:
    provider.reply = lambda prompt, before: (
        refused(500, "overloaded") if prompt in {"q3", "q5"} and not before else answered(prompt)
    )
    with pytest.raises(StageError, match=r"models\.judge: 500: overloaded \(3; 2 of a batch's requests failed\)"):
        wait_for(session, provider, 10)
    answers = wait_for(session, provider, 10)
    assert [entry.answer.text for entry in answers.entries] == [f"q{number}" for number in range(10)]
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [10, 2]
    assert {prompt for prompt, count in provider.asked.items() if count > 1} == {"q3", "q5"}


def test_a_row_that_is_refused_ends_the_stage_in_the_providers_words(session: Session, provider: BatchStandIn) -> None:
    provider.reply = lambda prompt, before: refused(400, "too long") if prompt == "q3" else answered(prompt)
    with pytest.raises(PermanentError, match=r"models\.judge: 400: too long \(3\)"):
        wait_for(session, provider, 5)
    assert len(provider.batches) == 1


@pytest.mark.parametrize("ending", ["expired", "cancelled", "failed"])
def test_a_batch_that_ends_early_keeps_what_was_answered(session: Session, provider: BatchStandIn, ending: str) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    provider.end(provider.batches[0], ending, most=4)
    with pytest.raises(StageError, match=f"the batch is {ending}"):
        ask(session, provider, 10)
    provider.ending = "completed"
    wait_for(session, provider, 10)
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [10, 6]
    assert set(provider.asked.values()) == {1}


def test_a_kill_between_the_ledger_and_the_end_of_a_batch_changes_nothing(
    session: Session, provider: BatchStandIn, store: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: S3Store, names: object) -> None:
        raise Outage("killed")

    with monkeypatch.context() as patch:
        patch.setattr(S3Store, "delete", killed)
        with pytest.raises(Outage, match="killed"):
            wait_for(session, provider, 5)
    assert len(names(store)) == 1
    assert wait_for(session, provider, 5).usd() == pytest.approx(5 * (10 * 1 + 5 * 2) / 1e6 / 2)
    assert len(ask(session, provider, 6, batch=False).entries) == 6
    assert len(provider.batches) == 1 and set(provider.asked.values()) == {1}


def test_a_full_queue_at_the_provider_is_waited_for(session: Session, provider: BatchStandIn) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 5)
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    provider.batches[0] |= {"status": "failed", "errors": {"object": "list", "data": [full]}}
    with pytest.raises(Later, match="was not taken: Enqueued token limit reached"):
        ask(session, provider, 5)
    provider.ending = "completed"
    assert len(wait_for(session, provider, 5).entries) == 5


@pytest.mark.parametrize(
    ("status", "words"),
    [(401, r"models\.judge\.api_key: 401: my words"), (404, r"models\.judge\.mode: 404: my words .*no Batch API")],
)
def test_a_refused_batch_ends_the_stage_and_leaves_nothing_open(
    session: Session, provider: BatchStandIn, store: S3Store, status: int, words: str
) -> None:
    said = {"error": {"message": "my words", "type": "x", "code": "y", "param": None}}
    provider.refuse = lambda call: (status, said) if call == "POST /v1/files" else None
    with pytest.raises(PermanentError, match=words):
        ask(session, provider, 5)
    assert names(store) == []


def test_a_provider_that_is_away_makes_the_stage_wait(session: Session, provider: BatchStandIn, store: S3Store) -> None:
    provider.refuse = lambda call: (503, {}) if call == "POST /v1/batches" else None
    with pytest.raises(Outage, match=r"models\.judge\.base_url: 503"):
        ask(session, provider, 5)
    provider.refuse = lambda call: None
    assert len(wait_for(session, provider, 5).entries) == 5
    assert set(provider.asked.values()) == {1}


def test_a_batch_that_was_taken_although_nobody_heard_is_found_and_not_paid_again(
    session: Session, provider: BatchStandIn, store: S3Store
) -> None:
    lost: list[int] = []

    def lose(call: str) -> tuple[int, Any] | None:
        if call != "POST /v1/batches" or lost:
            return None
        lost.append(1)
        return 502, {}

    provider.refuse = lose
    with pytest.raises(Outage):
        ask(session, provider, 5)
    tag = batches.id_of(names(store)[0])
    provider.create(
        {
            "input_file_id": "file-0",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "metadata": {"touchstone": tag},
        }
    )
    assert len(wait_for(session, provider, 5).entries) == 5
    assert len(provider.batches) == 1


def test_a_large_job_is_split_and_its_parts_are_waited_for_together(
    session: Session, provider: BatchStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.llm import batching

    monkeypatch.setattr(batching, "split", lambda lines: split(lines, most=4))
    provider.ending = None
    with pytest.raises(Later, match=r"batch_0 of 4 .*batch_1 of 4 .*batch_2 of 2"):
        ask(session, provider, 10)
    provider.ending = "completed"
    assert len(wait_for(session, provider, 10).entries) == 10
    assert set(provider.asked.values()) == {1}


def test_a_cancelled_batch_is_ended_remotely_and_what_was_answered_is_kept(
    session: Session, provider: BatchStandIn, store: S3Store
) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    (name,) = names(store)

    def cancelled() -> bool:
        session.batches.cancel(name)
        return not names(store)

    wait_until(cancelled, 20, "the batch to be closed")
    assert provider.calls["POST /v1/batches/batch_0/cancel"] == 1
    provider.ending = "completed"
    wait_for(session, provider, 10)
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [10, 7]
    assert set(provider.asked.values()) == {1}


def test_a_stage_that_is_wanted_again_while_its_batch_is_cancelled_goes_on_without_an_error(
    session: Session, provider: BatchStandIn, store: S3Store
) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    session.batches.cancel(names(store)[0])
    provider.ending = "completed"
    assert len(wait_for(session, provider, 10).entries) == 10
    assert set(provider.asked.values()) == {1}


@given(st.lists(st.integers(1, 9), max_size=30), st.integers(1, 5), st.integers(1, 20))
def test_parts_keep_every_line_in_order_and_their_sizes(sizes: list[int], most: int, size: int) -> None:
    lines = [(number, b"x" * length) for number, length in enumerate(sizes)]
    parts = list(split(lines, most, size))
    assert [line for part in parts for line in part] == lines
    for part in parts:
        assert 1 <= len(part) <= most
        assert len(part) == 1 or sum(len(data) for _, data in part) <= size


def test_an_open_batch_survives_json(store: S3Store, redis_server: redis.Redis) -> None:
    made = OpenBatch("id", "scope", "e", "ab" * 32, {"provider": "openai"}, {"name": "n"}, ("k",), time.time(), "b")
    made.write(store)
    assert batches.read_open(store, made.name) == made
    assert names(store) == [made.name]
    assert (batches.id_of(made.name), batches.stage_of(made.name)) == ("id", "ab" * 32)
