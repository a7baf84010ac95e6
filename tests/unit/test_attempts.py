"""When an experiment gives a unit up: three errors, one permanent error, five lost attempts in a row."""

from __future__ import annotations

from typing import Any

import pytest

from shared.attempts import Attempt, Marker, read_markers, verdict
from shared.store import MemoryStore
from shared.units import Unit


def marker(number: int, **fields: Any) -> Marker:
    base = {"attempt": f"{number:03d}", "experiment": "e", "generation": 0, "host": "h", "pid": 1, "started": "now"}
    return Marker.model_validate({**base, **fields})


def attempts(*kinds: str) -> list[Marker]:
    made: dict[str, dict[str, Any]] = {
        "lost": {},
        "lost after progress": {"steps": 1},
        "error": {"outcome": "error", "message": "boom"},
        "permanent": {"outcome": "error", "message": "wrong key", "permanent": True},
        "waiting": {"outcome": "waiting", "message": "away"},
        "looked": {"outcome": "waiting", "message": "not yet", "retry_after": 30.0},
        "stopped": {"outcome": "stopped"},
    }
    return [marker(number, **made[kind]) for number, kind in enumerate(kinds)]


@pytest.mark.parametrize(
    ("kinds", "given_up"),
    [
        ([], False),
        (["error"] * 2, False),
        (["error"] * 3, True),
        (["error", "waiting", "error", "lost", "error"], True),
        (["permanent"], True),
        (["lost"] * 4, False),
        (["lost"] * 5, True),
        (["lost", "lost", "lost after progress", "lost", "lost"], False),
        (["lost", "lost", "stopped", "waiting", "lost", "lost", "lost"], True),
        (["waiting"] * 50, False),
        (["lost", "lost", "lost", "looked", "lost", "lost"], False),
        (["looked", "lost", "lost", "lost", "lost", "lost"], True),
        (["stopped"] * 50, False),
    ],
)
def test_what_gives_a_unit_up(kinds: list[str], given_up: bool) -> None:
    assert (verdict(attempts(*kinds), "e", 0) is not None) == given_up


def test_another_experiment_s_errors_and_an_earlier_generation_s_do_not_count() -> None:
    markers = attempts("permanent")
    assert verdict(markers, "another", 0) is None
    assert verdict(markers, "e", 1) is None
    assert verdict(markers, "e", 0) == "wrong key"


def test_of_many_attempts_that_waited_for_a_known_time_only_the_last_is_remembered() -> None:
    store, unit = MemoryStore(), Unit(key="ab" * 32, kind="teach", params={})
    failed = Attempt(unit)
    failed.end(store, "error", "boom")
    for number in range(5):
        attempt = Attempt(unit)
        attempt.start(store)
        attempt.later(store, f"look {number}", 30.0)
    found = read_markers(store, unit.attempts_prefix)
    assert sorted((marker.outcome, marker.message, marker.retry_after) for marker in found) == [
        ("error", "boom", None),
        ("waiting", "look 4", 30.0),
    ]
