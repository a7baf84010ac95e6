"""Asking through a Batch API, in one process: what is submitted, what comes back, and what is paid."""

from __future__ import annotations

import json
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
from shared.llm.batching import UNREAD
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
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    provider.end(provider.batches[0], "completed")
    words = (
        r"models\.judge: 500: overloaded \(3; 2 of a batch's requests failed and are asked again\); batch batch_1 of 2"
    )
    with pytest.raises(Later, match=words):
        ask(session, provider, 10)
    provider.ending = "completed"
    answers = ask(session, provider, 10)
    assert [entry.answer.text for entry in answers.entries] == [f"q{number}" for number in range(10)]
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [10, 2]
    assert {prompt for prompt, count in provider.asked.items() if count > 1} == {"q3", "q5"}


def test_a_row_that_is_refused_ends_the_stage_in_the_providers_words(session: Session, provider: BatchStandIn) -> None:
    provider.reply = lambda prompt, before: refused(400, "too long") if prompt == "q3" else answered(prompt)
    with pytest.raises(PermanentError, match=r"models\.judge: 400: too long \(3\)"):
        wait_for(session, provider, 5)
    assert len(provider.batches) == 1


def test_rows_may_fail_any_number_of_times(session: Session, provider: BatchStandIn) -> None:
    provider.reply = lambda prompt, before: refused(500, "oh") if before < int(prompt[1:]) else answered(prompt)
    assert len(wait_for(session, provider, 7).entries) == 7
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [7, 6, 5, 4, 3, 2, 1]


@pytest.mark.parametrize("ending", ["expired", "cancelled", "failed"])
def test_a_batch_that_ends_early_keeps_what_was_answered(session: Session, provider: BatchStandIn, ending: str) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 10)
    provider.end(provider.batches[0], ending, most=4)
    # That a whole batch failed counts as an error; what was not reached in time is merely asked again.
    with pytest.raises(StageError if ending == "failed" else Later, match=f"the batch is {ending}"):
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
    # It was too large for an empty queue.
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [5, 2, 2, 1]
    assert provider.files == {}


def test_what_finds_no_room_beside_another_batch_waits_for_its_end(session: Session, provider: BatchStandIn) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 5)
    with pytest.raises(Later, match=r"batch_0 of 5 .*batch_1 of 3"):
        ask(session, provider, 8)
    full = {"code": "token_limit_exceeded", "message": "Enqueued token limit reached"}
    provider.batches[1] |= {"status": "failed", "errors": {"object": "list", "data": [full]}}
    with pytest.raises(Later, match="was not taken: Enqueued token limit reached"):
        ask(session, provider, 8)
    for _ in range(3):
        with pytest.raises(Later, match="3 requests wait for room in the provider's queue"):
            ask(session, provider, 8)
    assert len(provider.batches) == 2
    provider.ending = "completed"
    assert len(wait_for(session, provider, 8).entries) == 8
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [5, 3, 3]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, r"models\.judge\.api_key: 401: my words"),
        *((status, rf"models\.judge\.mode: {status}: my words .*no Batch API") for status in (404, 405, 501)),
    ],
)
@pytest.mark.parametrize("call", ["POST /v1/files", "POST /v1/batches"])
def test_a_refused_batch_ends_the_stage_and_leaves_nothing_open_or_uploaded(
    session: Session, provider: BatchStandIn, store: S3Store, status: int, words: str, call: str
) -> None:
    said = {"error": {"message": "my words", "type": "x", "code": "y", "param": None}}
    provider.refuse = lambda made: (status, said) if made == call else None
    with pytest.raises(PermanentError, match=words):
        ask(session, provider, 5)
    assert names(store) == [] and provider.files == {}


def test_a_provider_that_is_away_makes_the_stage_wait(session: Session, provider: BatchStandIn, store: S3Store) -> None:
    provider.refuse = lambda call: (503, {}) if call == "POST /v1/batches" else None
    with pytest.raises(Outage, match=r"models\.judge\.base_url: 503"):
        ask(session, provider, 5)
    provider.refuse = lambda call: None
    assert len(wait_for(session, provider, 5).entries) == 5
    assert set(provider.asked.values()) == {1}
    assert provider.files == {}, "also the first upload, of which no batch was made"


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
    from shared.llm import batch_submit

    monkeypatch.setattr(batch_submit, "split", lambda lines, most: split(lines, most=4))
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


def rows_of(provider: BatchStandIn, change: Callable[[list[bytes]], list[bytes]]) -> None:
    """Change the lines of the one result file."""
    (id,) = [id for id, name in provider.names.items() if name == "results"]
    provider.files[id] = b"\n".join(change(provider.files[id].splitlines()))


def test_rows_that_are_said_twice_or_were_never_asked_change_nothing(session: Session, provider: BatchStandIn) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 4)
    provider.end(provider.batches[0], "completed")

    def change(lines: list[bytes]) -> list[bytes]:
        other = lines[0].replace(b"re: q", b"no: q")
        unknown = json.dumps({**json.loads(lines[1]), "custom_id": "nobody's"}).encode()
        return [lines[1], unknown, b"", *lines, other]

    rows_of(provider, change)
    answers = ask(session, provider, 4)
    assert [entry.answer.text for entry in answers.entries] == [f"re: q{number}" for number in range(4)]
    assert answers.usd() == pytest.approx(4 * (10 * 1 + 5 * 2) / 1e6 / 2)


@pytest.mark.parametrize(
    "change",
    [lambda lines: lines[:3], lambda lines: [*lines[:3], lines[3][:40]], lambda lines: [*lines[:3], b"[]"]],
    ids=["missing", "torn", "no row"],
)
def test_results_that_are_not_whole_are_fetched_again_and_then_only_what_is_missing_is_asked_again(
    session: Session, provider: BatchStandIn, change: Callable[[list[bytes]], list[bytes]]
) -> None:
    provider.ending = None
    with pytest.raises(Later):
        ask(session, provider, 4)
    provider.end(provider.batches[0], "completed")
    rows_of(provider, change)
    for _ in range(UNREAD):
        with pytest.raises(Outage, match=r"results of batch batch_0 are not whole: 3 of 4 answers can be read"):
            ask(session, provider, 4)
    provider.ending = "completed"
    assert len(wait_for(session, provider, 4).entries) == 4
    assert [batch["request_counts"]["total"] for batch in provider.batches] == [4, 1]


def test_files_are_deleted_once_their_answers_are_taken_and_a_provider_that_keeps_them_does_no_harm(
    session: Session, provider: BatchStandIn, store: S3Store
) -> None:
    provider.reply = lambda prompt, before: refused(500, "oh") if prompt == "q1" and not before else answered(prompt)
    assert len(wait_for(session, provider, 3).entries) == 3
    assert provider.files == {}
    assert provider.calls["DELETE /v1/files/file-0"] == 1, "the input"
    provider.refuse = lambda call: (500, {}) if call.startswith("DELETE") else None
    assert len(wait_for(session, provider, 5).entries) == 5
    assert provider.files and names(store) == []


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
