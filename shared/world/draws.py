"""Chance that repeats: every draw is a hash of what it is about."""

from __future__ import annotations

import random
from hashlib import blake2b


def _number(parts: tuple[object, ...]) -> int:
    return int.from_bytes(blake2b(repr(parts).encode(), digest_size=8).digest())


def uniform(*parts: object) -> float:
    """A number in [0, 1) that depends on `parts` (strings and numbers) alone."""
    return (_number(parts) >> 11) * 2.0**-53


def generator(*parts: object) -> random.Random:
    """A random generator seeded by `parts` (strings and numbers) alone."""
    return random.Random(_number(parts))
