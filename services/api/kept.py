"""What is made of immutable objects, kept for the next who asks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Kept(Generic[T]):
    """The last few things made from immutable objects, by their names."""

    most: int
    _found: OrderedDict[str, T] = field(default_factory=OrderedDict)
    _lock: Lock = field(default_factory=Lock)

    def get(self, name: str, make: Callable[[], T]) -> T:
        """What `name` stands for, made where it is not kept."""
        with self._lock:
            if name in self._found:
                self._found.move_to_end(name)
                return self._found[name]
        made = make()
        with self._lock:
            self._found[name] = made
            while len(self._found) > self.most:
                self._found.popitem(last=False)
        return made
