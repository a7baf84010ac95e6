"""The list of experiments in the API's memory: fresh after every change, whole after a wiped Redis, cheap."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from services.api.listing import Listing, matching
from shared.experiments import PREFIX, write_summary
from shared.store import MemoryStore, ObjectInfo, ObjectStore, S3Store
from tests.waiting import wait_until


def summary(id: str, **changes: Any) -> dict[str, Any]:
    made = {"id": id, "name": f"name-{id}", "state": "running", "created": f"2026-01-01T00:00:{id}+00:00"}
    return {**made, "stages": [{"key": "k"}], "counts": {}, "cost_usd": 0.0, "finished": None, **changes}


def put(store: ObjectStore, id: str, final: dict[str, Any] | None = None) -> None:
    head = {"id": id, "name": f"name-{id}", "created": summary(id)["created"]}
    store.put(f"{PREFIX}{id}/experiment.json", json.dumps(head).encode())
    if final is not None:
        store.put(f"{PREFIX}{id}/final.json", json.dumps(final).encode())


@pytest.fixture
def listing(store: S3Store, redis_server: redis.Redis) -> Listing:
    return Listing(store, redis_server, relist_seconds=3600)


def ids(listing: Listing) -> list[str]:
    return [row["id"] for row in listing.rows()]


def test_a_new_process_over_a_wiped_redis_reads_the_store(listing: Listing, store: S3Store) -> None:
    put(store, "10")
    put(store, "11", summary("11", state="succeeded", level="sft_suffices"))
    rows = listing.rows()
    assert [(row["id"], row["state"]) for row in rows] == [("11", "succeeded"), ("10", "running")]
    assert rows[0]["level"] == "sft_suffices" and "stages" not in rows[0]


def test_every_change_is_in_the_next_list(listing: Listing, redis_server: redis.Redis) -> None:
    assert ids(listing) == []
    write_summary(redis_server, summary("10"))
    write_summary(redis_server, summary("12"))
    assert ids(listing) == ["12", "10"]
    write_summary(redis_server, summary("10", state="failed"))
    assert [row["state"] for row in listing.rows()] == ["running", "failed"]


def test_a_wiped_redis_takes_nothing_from_the_list(listing: Listing, redis_server: redis.Redis) -> None:
    write_summary(redis_server, summary("10"))
    assert ids(listing) == ["10"]
    redis_server.flushdb()
    assert ids(listing) == ["10"]
    write_summary(redis_server, summary("10", state="succeeded"))
    assert listing.rows()[0]["state"] == "succeeded"


class Counting(MemoryStore):
    """Counts how often it is listed."""

    listings = 0

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.listings += 1
        return super().list(prefix)


def test_after_a_wipe_the_store_is_asked_at_once_and_from_then_on_beside_the_requests(
    redis_server: redis.Redis,
) -> None:
    store = Counting()
    listing = Listing(store, redis_server, relist_seconds=3600)
    write_summary(redis_server, summary("10"))
    assert ids(listing) == ["10"]
    redis_server.flushdb()
    put(store, "11")
    before = store.listings
    for _ in range(50):
        assert ids(listing) == ["11", "10"]
    assert store.listings - before <= 2, "an empty Redis must not make every reader wait for the store"
    put(store, "12")
    wait_until(lambda: ids(listing) == ["12", "11", "10"], 20, "the store to be listed anew")


def test_what_nobody_told_of_is_found_beside_the_requests(
    listing: Listing, store: S3Store, redis_server: redis.Redis
) -> None:
    write_summary(redis_server, summary("10"))
    assert ids(listing) == ["10"]
    put(store, "11")
    assert ids(listing) == ["10"]
    listing.relist_seconds = 0
    wait_until(lambda: ids(listing) == ["11", "10"], 10, "the store to be listed anew")


def test_many_readers_at_once_see_the_same(listing: Listing, redis_server: redis.Redis) -> None:
    for number in range(10, 40):
        write_summary(redis_server, summary(str(number)))
    seen: list[list[str]] = []
    threads = [threading.Thread(target=lambda: seen.append(ids(listing))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [[str(number) for number in range(39, 9, -1)]] * 8


def test_words_and_states_choose(listing: Listing, redis_server: redis.Redis) -> None:
    write_summary(redis_server, summary("10", name="Paper figure 2"))
    write_summary(redis_server, summary("11", name="paper figure 3", state="failed"))
    rows = listing.rows()
    assert [row["id"] for row in matching(rows, "FIGURE paper")] == ["11", "10"]
    assert [row["id"] for row in matching(rows, "paper", "failed")] == ["11"]
    assert [row["id"] for row in matching(rows, "figure 2")] == ["10"]
