"""Uploads make room for a training where processors are busy, and for nobody else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from shared.errors import Stopped
from shared.store import AT_ONCE
from workers.trainer import pace
from workers.trainer.pace import LONGEST_REST, Pace


class Rests:
    """An event that notes how long it was waited for."""

    def __init__(self, clock: list[float]) -> None:
        self.found: list[float] = []
        self._clock = clock
        self._set = False

    def wait(self, seconds: float) -> None:
        self.found.append(seconds)
        self._clock[0] += seconds

    def set(self) -> None:
        self._set = True

    def is_set(self) -> bool:
        return self._set


def paced(patch: pytest.MonkeyPatch, processors: int, load: float) -> tuple[Pace, Rests, list[float]]:
    """A pace on such a machine, its rests and its clock."""
    clock = [100.0]
    patch.setattr(pace, "os", SimpleNamespace(cpu_count=lambda: processors, getloadavg=lambda: (load, 0.0, 0.0)))
    patch.setattr(pace, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    made, rests = Pace(), Rests(clock)
    patch.setattr(made, "_hurried", rests)
    clock[0] += 50.0
    made.begin()
    return made, rests, clock


def take(made: Pace, clock: list[float], parts: list[float]) -> None:
    """Parts that take so many seconds each."""
    for seconds in parts:
        made.rest()
        clock[0] += seconds
    made.rest()


def test_a_part_is_rested_from_as_long_as_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rests, clock = paced(monkeypatch, processors=2, load=1.0)
    take(made, clock, [0.02, 0.3, 9.0])
    assert rests.found == pytest.approx([0.0, 0.02, 0.3, LONGEST_REST])
    assert made.at_once == 1


def test_nobody_rests_where_processors_are_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rests, clock = paced(monkeypatch, processors=32, load=20.0)
    take(made, clock, [0.02, 0.3])
    assert rests.found == [] and made.at_once == AT_ONCE


def test_nobody_rests_who_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made, rests, clock = paced(monkeypatch, processors=2, load=1.0)
    made.hurry()
    take(made, clock, [0.02, 0.3])
    assert rests.found == [] and made.at_once == AT_ONCE


def test_an_end_is_noticed_before_the_next_part(monkeypatch: pytest.MonkeyPatch) -> None:
    made, _, clock = paced(monkeypatch, processors=2, load=1.0)
    take(made, clock, [0.02])
    made.end()
    with pytest.raises(Stopped, match="the training has ended"):
        made.rest()
