"""Turns at a queue: who makes room for whom."""

from __future__ import annotations

from services.conductor.board import Board, Seen
from services.conductor.turns import AGAIN, PATIENCE, SLICE, Turns, to_end
from shared.units import Shard, Unit

NOW = 1000.0


def unit(experiment: str, number: int, kind: str = "teach") -> Unit:
    return Unit(key="k", kind=kind, params={}, shard=Shard(start=number, stop=number + 1), experiment=experiment)


def leased(experiment: str, count: int, since: float = 1.0) -> list[tuple[Unit, Seen]]:
    return [(unit(experiment, number), Seen(leased=True, leased_at=NOW - since)) for number in range(count)]


def queued(experiment: str, count: int = 1, since: float = PATIENCE + 1) -> list[tuple[Unit, Seen]]:
    return [(unit(experiment, 100 + at), Seen(queued=True, queued_at=NOW - since)) for at in range(count)]


def ended(given: list[tuple[Unit, Seen]], standing: int) -> list[str]:
    return [one.experiment for one in to_end(given, standing, NOW)]


def test_as_many_units_end_as_stand_before_the_one_that_waits_but_never_an_experiments_last() -> None:
    assert ended(leased("big", 4) + queued("big", 2) + queued("small"), 3) == ["big"] * 3
    assert ended(leased("big", 2) + queued("small"), 3) == ["big"]
    assert ended(leased("big", 2) + leased("other", 5) + queued("small"), 1) == ["other"]


def test_nobody_makes_room_without_need() -> None:
    assert ended(leased("big", 4) + queued("big", 2), 2) == []
    assert ended(leased("big", 4) + queued("small", since=PATIENCE / 2), 1) == []
    assert ended(leased("big", 3) + leased("small", 1) + queued("small"), 1) == []
    assert ended(queued("small"), 1) == [], "there is no worker"
    assert ended(leased("big", 4) + queued("small"), 0) == [], "its message is lost or just taken"


def test_where_each_has_one_worker_the_longest_at_work_goes_after_its_slice() -> None:
    both = leased("a", 1, SLICE - 1) + leased("b", 1, 2.0)
    assert ended(both + queued("small"), 1) == []
    assert ended(leased("a", 1, SLICE + 1) + leased("b", 1, SLICE + 2) + queued("small"), 1) == ["b"]


def test_a_gathering_is_left_to_finish() -> None:
    gathering = [(one.model_copy(update={"parts": ()}), seen) for one, seen in leased("big", 2)]
    assert ended(gathering + queued("small"), 1) == []


def test_room_is_made_at_paid_queues_alone_and_not_again_at_once() -> None:
    board, turns = Board(cold=False), Turns()
    for kind in ("teach", "sft"):
        for number in range(3):
            board.units[unit("big", number, kind).commit_key] = Seen(leased=True, leased_at=1.0)
        board.units[unit("small", 9, kind).commit_key] = Seen(queued=True, queued_at=1.0)
        units = [unit("big", number, kind) for number in range(3)] + [unit("small", 9, kind)]
        found = turns.to_end(units, board, lambda queue: 1)
        assert [one.kind for one in found] == (["teach"] if kind == "teach" else [])
        assert turns.to_end(units, board, lambda queue: 1) == []
    assert AGAIN > PATIENCE
