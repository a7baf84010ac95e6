"""What runs is left alone while its lease cannot be seen: Redis wiped or away, the conductor new, or two of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import redis

from services.conductor.reconcile import Conductor
from shared import experiments
from shared.attempts import Attempt
from shared.context import stop_name
from shared.leases import Leases
from shared.queues import celery_app
from shared.runner import queued_name
from shared.settings import Settings
from shared.store import S3Store
from shared.units import Unit
from tests.unit.specs import resolved
from tests.waiting import wait_until

LEASE = 2.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"lease_seconds": LEASE})


class Place:
    """A conductor, an experiment whose first unit runs, and that unit's queue."""

    def __init__(self, settings: Settings, store: S3Store, client: redis.Redis) -> None:
        self.settings, self.store, self.redis = settings, store, client
        self.conductor = self.another_conductor()
        id = experiments.new_id()
        experiments.create(store, client, resolved(), "", id)
        unit = wait_until(lambda: self._first(id), 30, "the first unit to be queued")
        assert unit is not None
        self.unit = unit
        self.redis.delete("teacher", queued_name(self.unit.commit_key))
        self.leases = Leases(client, LEASE)
        self.attempt = Attempt(self.unit)
        lease = self.leases.take(self.unit.commit_key, self.attempt.id)
        assert lease is not None
        self.lease = lease
        self.attempt.start(store)

    def another_conductor(self) -> Conductor:
        return Conductor(self.settings, self.store, self.redis, celery_app("test", self.settings))

    def _first(self, id: str) -> Unit | None:
        self.conductor.step()
        found = self.conductor.experiments.get(id)
        queued = [unit for need in found.wanted() for unit in need.units] if found else []
        return next((unit for unit in queued if self.redis.exists(queued_name(unit.commit_key))), None)

    def vanish(self) -> None:
        """The lease goes as it does with Redis; its holder works on, and has not renewed it yet."""
        self.leases.close()
        self.redis.delete(self.lease.name)

    @property
    def queued(self) -> int:
        return int(self.redis.llen("teacher"))


@pytest.fixture
def place(settings: Settings, store: S3Store, redis_server: redis.Redis) -> Iterator[Place]:
    made = Place(settings, store, redis_server)
    yield made
    made.leases.close()


def assert_held(place: Place, conductor: Conductor) -> None:
    """The conductor holds the unit back now, and queues it once the hold is over."""
    conductor.reconcile()
    assert place.queued == 0

    def queued() -> int:
        conductor.step()
        return place.queued

    wait_until(queued, 30, "the unit to be queued again")
    assert time.monotonic() >= conductor.board.hold_until


def test_a_new_conductor_waits_for_running_work_to_announce_itself(place: Place) -> None:
    """Redis was wiped, the conductor saw it and made a new epoch, and was killed: the next one sees no wipe."""
    place.vanish()
    place.redis.flushdb()
    place.conductor.step()
    assert place.queued == 0
    second = place.another_conductor()
    second.step()
    assert_held(place, second)


def test_leases_that_ran_out_while_redis_was_away_may_be_renewed_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    conductor = place.conductor
    wait_until(lambda: time.monotonic() > conductor.board.hold_until, 30, "the hold of its own start to be over")
    conductor.reconcile()
    assert conductor.board[place.unit.commit_key].leased

    def away() -> None:
        raise redis.ConnectionError("away")

    class Ended(BaseException):
        """The loop has taken the outage in."""

    def asleep(seconds: float) -> None:
        raise Ended

    with monkeypatch.context() as patch:
        patch.setattr(conductor, "step", away)
        patch.setattr("services.conductor.reconcile.time.sleep", asleep)
        with pytest.raises(Ended):
            conductor.run()
    place.vanish()
    conductor.step()
    assert_held(place, conductor)


def test_a_wipe_between_two_looks_of_one_round_is_noticed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The conductor waits for signals between its look at the epoch and its look at the leases."""
    conductor = place.conductor
    wait_until(lambda: time.monotonic() > conductor.board.hold_until, 30, "the hold of its own start to be over")
    conductor.reconcile()
    listen = conductor._listen

    def wiped() -> None:
        listen()
        monkeypatch.undo()
        place.vanish()
        place.redis.flushdb()
        conductor._dirty = True

    monkeypatch.setattr(conductor, "_listen", wiped)
    conductor.step()
    assert place.queued == 0
    conductor.step()
    assert_held(place, conductor)


def test_what_was_taken_from_the_queue_unseen_is_not_queued_again_at_once(place: Place) -> None:
    """The unit's start was never heard of: the signal went with the wiped Redis."""
    seen = place.conductor.board[place.unit.commit_key]
    seen.leased, seen.attempted, seen.queued = False, False, True
    place.vanish()
    place.redis.flushdb()
    place.conductor.step()
    assert_held(place, place.conductor)


def test_a_second_conductor_queues_nothing_twice_and_stops_nobody(place: Place) -> None:
    second = place.another_conductor()
    for _ in range(3):
        for conductor in (place.conductor, second):
            conductor._dirty = True
            conductor.step()
    assert place.queued == 0
    assert not place.redis.exists(stop_name(place.unit.commit_key))
    place.attempt.end(place.store, "stopped")
    place.leases.release(place.lease)
    for _ in range(3):
        for conductor in (place.conductor, second):
            conductor._dirty = True
            conductor.step()
    assert place.queued == 1
