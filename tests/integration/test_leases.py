"""Leases on a real Valkey: one holder, renewed by a thread, taken again after a wipe, lost to another owner only."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from shared.leases import Leases, lease_name
from tests.waiting import wait_until

SECONDS = 0.6


@pytest.fixture
def leases(redis_server: redis.Redis) -> Iterator[Leases]:
    with Leases(redis_server, SECONDS) as made:
        yield made


def test_only_one_owner_at_a_time(leases: Leases) -> None:
    first = leases.take("unit", "me")
    assert first is not None
    assert leases.take("unit", "you") is None
    leases.release(first)
    assert leases.take("unit", "you") is not None


def test_it_is_renewed_for_as_long_as_it_is_held(leases: Leases, redis_server: redis.Redis) -> None:
    lease = leases.take("unit", "me")
    assert lease is not None
    first = lease.deadline
    wait_until(lambda: lease.deadline > first + 2 * SECONDS, 10, "several renewals")
    assert lease.held
    assert redis_server.get(lease_name("unit")) == b"me"


def test_a_wiped_redis_does_not_lose_it(leases: Leases, redis_server: redis.Redis) -> None:
    lease = leases.take("unit", "me")
    assert lease is not None
    redis_server.flushall()
    wait_until(lambda: redis_server.get(lease_name("unit")) == b"me", 5, "the lease to be taken again")
    assert lease.held


def test_a_process_that_holds_it_does_not_take_it_again_from_a_wiped_redis(
    leases: Leases, redis_server: redis.Redis
) -> None:
    lease = leases.take("unit", "me")
    assert lease is not None
    redis_server.flushall()
    assert leases.take("unit", "me, once more") is None and lease.held


def test_what_was_lost_and_taken_again_is_renewed_though_the_first_holder_ends_later(
    leases: Leases, redis_server: redis.Redis
) -> None:
    first = leases.take("unit", "me")
    assert first is not None
    redis_server.set(lease_name("unit"), "rival")
    wait_until(first.lost.is_set, 5, "the loss to be seen")
    redis_server.delete(lease_name("unit"))
    second = leases.take("unit", "me, once more")
    assert second is not None
    redis_server.flushall()
    wait_until(lambda: redis_server.get(lease_name("unit")) == b"me, once more", 5, "the lease to be taken again")
    leases.release(first)
    until = second.deadline
    wait_until(lambda: second.deadline > until + 2 * SECONDS, 10, "several renewals")
    assert second.held and not first.held


def test_another_owner_s_value_means_lost_and_releasing_leaves_it_alone(
    leases: Leases, redis_server: redis.Redis
) -> None:
    lease = leases.take("unit", "me")
    assert lease is not None
    redis_server.set(lease_name("unit"), "rival")
    wait_until(lease.lost.is_set, 5, "the loss to be seen")
    assert not lease.held
    leases.release(lease)
    assert redis_server.get(lease_name("unit")) == b"rival"


def test_a_dead_holder_s_lease_runs_out(redis_server: redis.Redis, leases: Leases) -> None:
    redis_server.set(lease_name("unit"), "dead", px=300)
    assert leases.take("unit", "me") is None
    wait_until(lambda: leases.take("unit", "me"), 5, "the lease to run out")
