"""Stages, their keys, and the plan that they make.

A stage's key is computed here and nowhere else (`stage_key`): the SHA-256 of its kind, the kind's format version, its
params and its inputs' keys. It holds all that changes the result and nothing that does not; what a worker must know
besides (credentials' names, limits, prices) is in `options`, outside the key. Same key, one accepted result: arms and
experiments that need the same stage share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.canonical import content_key
from shared.kinds import KINDS


@dataclass
class Stage:
    """One stage: `inputs` are other stages' keys by the name under which this one reads them."""

    key: str
    kind: str
    params: dict[str, Any]
    inputs: dict[str, str]
    options: dict[str, Any]
    arms: list[str] = field(default_factory=list)


@dataclass
class Plan:
    """All stages of an experiment by key, in an order in which inputs come first; `report` is the last one's key."""

    stages: dict[str, Stage]
    report: str

    def ancestors(self, keys: Iterable[str]) -> list[str]:
        """The stages that `keys` need, themselves included, inputs first."""
        needed = self._needed(keys)
        return [key for key in self.stages if key in needed]

    def ancestors_of_each(self, keys: Iterable[str]) -> list[list[str]]:
        """The same for each of `keys` alone; what it takes grows with the answer, not with the plan."""
        place = {key: number for number, key in enumerate(self.stages)}
        return [sorted(self._needed([key]), key=place.__getitem__) for key in keys]

    def _needed(self, keys: Iterable[str]) -> set[str]:
        needed: set[str] = set()
        todo = list(keys)
        while todo:
            key = todo.pop()
            if key not in needed:
                needed.add(key)
                todo.extend(self.stages[key].inputs.values())
        return needed


def stage_key(kind: str, params: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """The key of a stage."""
    version = KINDS[kind].version
    return content_key({"kind": kind, "version": version, "params": dict(params), "inputs": dict(inputs)})
