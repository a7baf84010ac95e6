"""The runner when store, Redis or disk fail between two of its steps: no work is lost, and nothing stays leased."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis

from shared.artifacts import StageResult
from shared.attempts import Marker, read_markers
from shared.context import StageContext
from shared.errors import Outage
from shared.leases import lease_name
from shared.runner import Runner
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit
from tests.waiting import wait_until

KEY = "ef" * 32
UNIT = Unit(key=KEY, kind="teach", params={}, experiment="e")


class Killed(BaseException):
    """The process ends here."""


class FaultyStore:
    """A real store, whose `put` first asks `before` (which may raise) and then `after`."""

    def __init__(self, store: S3Store) -> None:
        self._store = store
        self.before: Callable[[str], None] = lambda name: None
        self.after: Callable[[str], None] = lambda name: None

    def put(self, name: str, data: bytes) -> None:
        self.before(name)
        self._store.put(name, data)
        self.after(name)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


@pytest.fixture
def faulty(store: S3Store) -> FaultyStore:
    return FaultyStore(store)


@pytest.fixture
def runner(settings: Settings, faulty: FaultyStore, redis_server: redis.Redis) -> Iterator[Runner]:
    quick = settings.model_copy(update={"lease_seconds": 1.0, "retry_seconds": 0.1})
    made = Runner(quick, faulty, redis_server)
    yield made
    made.leases.close()


def once(error: BaseException, prefix: str) -> Callable[[str], None]:
    """Raise it at the first object under a prefix."""
    left = [error]

    def fail(name: str) -> None:
        if name.startswith(prefix) and left:
            raise left.pop()

    return fail


def work(ctx: StageContext) -> StageResult:
    return StageResult({"rows.parquet": pa.table({"x": [1, 2, 3]})})


def never(ctx: StageContext) -> StageResult:
    pytest.fail("the work was done again")


def objects(store: S3Store, prefix: str = "commits/") -> dict[str, bytes]:
    return {info.name: store.get(info.name) for info in store.list(prefix)}


def markers(store: S3Store) -> list[Marker]:
    return read_markers(store, UNIT.attempts_prefix)


@pytest.mark.parametrize("prefix", ["stages/", "commits/"])
def test_a_result_waits_for_the_store_and_is_not_made_again(
    runner: Runner, faulty: FaultyStore, store: S3Store, redis_server: redis.Redis, prefix: str
) -> None:
    faulty.before = once(Outage("the store is away"), prefix)
    runner.run(UNIT, work)
    assert len(objects(store)) == 1
    assert [marker.outcome for marker in markers(store)] == ["committed"]
    said = [fields[b"type"] for _, fields in redis_server.xrange("signals")]
    assert said == [b"started", b"waiting", b"commit", b"stopped"]


def test_a_result_that_waits_for_the_store_is_let_go_when_the_worker_ends(
    runner: Runner, faulty: FaultyStore, store: S3Store
) -> None:
    def away(name: str) -> None:
        if name.startswith("stages/"):
            runner.shutdown.set()
            raise Outage("the store is away")

    faulty.before = away
    runner.run(UNIT, work)
    assert [marker.outcome for marker in markers(store)] == ["stopped"]
    assert objects(store) == {}


def test_a_commit_whose_receipt_was_lost_is_the_commit(runner: Runner, faulty: FaultyStore, store: S3Store) -> None:
    faulty.after = once(Outage("no answer came"), "commits/")
    runner.run(UNIT, work)
    assert len(objects(store)) == 1
    assert [marker.outcome for marker in markers(store)] == ["committed"]


def test_files_without_a_manifest_are_no_commit_and_stay_as_they_are(
    runner: Runner, faulty: FaultyStore, store: S3Store
) -> None:
    """A worker that is killed after the upload of its files and before the manifest."""
    faulty.before = once(Killed(), "commits/")
    with pytest.raises(Killed):
        runner.run(UNIT, work)
    before = objects(store, "stages/")
    assert before and objects(store) == {}
    runner.run(UNIT, work)
    assert objects(store, "stages/") == before
    assert len(objects(store)) == 1
    assert [marker.outcome for marker in markers(store)] == [None, "committed"]


def test_a_rival_that_committed_during_the_wait_wins(
    runner: Runner, faulty: FaultyStore, store: S3Store, settings: Settings, redis_server: redis.Redis
) -> None:
    rival = Runner(settings, store, redis_server)

    def overtaken(name: str) -> None:
        if name.startswith("stages/"):
            faulty.before = lambda name: None
            redis_server.delete(lease_name(KEY))
            rival.run(UNIT, work)
            raise Outage("the store is away")

    faulty.before = overtaken
    runner.run(UNIT, work)
    rival.leases.close()
    assert len(objects(store)) == 1
    assert sorted(str(marker.outcome) for marker in markers(store)) == ["committed", "stopped"]


def test_an_outcome_that_could_not_be_written_is_written_later_and_no_lost_attempt(
    runner: Runner, faulty: FaultyStore, store: S3Store
) -> None:
    def away(ctx: StageContext) -> StageResult:
        faulty.before = once(Outage("still away"), "scratch/")
        raise Outage("the store is away")

    runner.run(UNIT, away)
    assert [marker.outcome for marker in markers(store)] == [None]
    runner.run(UNIT, work)
    assert [marker.outcome for marker in markers(store)] == ["waiting", "committed"]


def test_a_redis_that_goes_right_after_the_lease_leaves_nothing_leased(
    runner: Runner, store: S3Store, redis_server: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*names: str) -> int:
        raise redis.ConnectionError("away")

    with monkeypatch.context() as patch:
        patch.setattr(redis_server, "delete", gone)
        runner.run(UNIT, never)
    assert not redis_server.exists(lease_name(KEY))
    runner.run(UNIT, work)
    assert len(objects(store)) == 1


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_folder_is_waited_for_and_no_lost_attempt(
    runner: Runner, store: S3Store, redis_server: redis.Redis, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(path: Path, *given: object, **named: object) -> None:
        raise OSError(number, "cannot", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        runner.run(UNIT, never)
    assert markers(store) == []
    assert [fields[b"type"] for _, fields in redis_server.xrange("signals")] == [b"waiting", b"stopped"]
    assert not redis_server.exists(lease_name(KEY))


def test_two_that_race_for_one_unit_do_it_once(
    runner: Runner, store: S3Store, settings: Settings, redis_server: redis.Redis
) -> None:
    rival = Runner(settings, store, redis_server)
    began: list[str] = []
    go = threading.Event()

    def slow(ctx: StageContext) -> StageResult:
        began.append(ctx.workdir.name)
        go.wait(30)
        return work(ctx)

    threads = [threading.Thread(target=one.run, args=(UNIT, slow)) for one in (runner, rival) * 4]
    for thread in threads:
        thread.start()
    wait_until(lambda: sum(thread.is_alive() for thread in threads) == 1, 30, "all but the winner to leave")
    go.set()
    for thread in threads:
        thread.join()
    rival.leases.close()
    assert len(began) == 1
    assert len(objects(store)) == 1
