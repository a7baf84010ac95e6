"""The key/value cache: a slot a row, so that rows of any length join and leave a running batch.

Every row's keys and values lie at the start of its slot, so no row is padded on the left and a row's result does not
depend on the others' lengths. Slots 0..B-1 are in use; the last row
moves into the place of one that leaves.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers.cache_utils import Cache, CacheLayerMixin

LENGTH_STEP = 16
"""Lengths are rounded up to this. Attention on a CPU sums in vectors of up to 16 floats: with whole vectors a row's sum
is bit for bit the same, whatever length the longest row of its batch has."""

WASTE = 4
"""The cache stays larger than the running rows need by this factor at most, so that one long row after many short
ones does not make every slot long."""


class Window:
    """What the next forward pass does with the cache: all layers read it."""

    def __init__(self) -> None:
        self.capacity = (0, 0)
        self.slots: torch.Tensor | None = None
        self.positions: torch.Tensor | None = None
        self.length = 0

    def store(self, slots: torch.Tensor | None) -> None:
        """Whole prompts come: keep them in `slots` [R], or nowhere (None)."""
        self.slots, self.positions = slots, None

    def extend(self, positions: torch.Tensor, length: int) -> None:
        """One token a row comes, for positions [B] of slots 0..B-1; attention reads `length` positions."""
        self.slots, self.positions, self.length = torch.arange(len(positions)), positions, length


class MaskedLayer(CacheLayerMixin):
    """A layer that tells the model of no past, so that positions and masks are as they are given to it."""

    is_sliding = False

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return query_length, 0

    def get_seq_length(self) -> int:
        return 0

    def get_max_length(self) -> int:
        return -1


class SlotLayer(MaskedLayer):
    """One layer's keys and values, [slots, heads, length, dim]."""

    def __init__(self, window: Window) -> None:
        super().__init__()
        self.window = window
        self.keys: torch.Tensor
        self.values: torch.Tensor
        self.is_initialized: bool

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        window = self.window
        if window.slots is None:
            return key_states, value_states
        self.lazy_initialization(key_states, value_states)
        if window.positions is None:
            self.keys[window.slots, :, : key_states.shape[2]] = key_states
            self.values[window.slots, :, : value_states.shape[2]] = value_states
            return key_states, value_states
        rows = len(window.slots)
        self.keys[window.slots, :, window.positions] = key_states[:, :, 0]
        self.values[window.slots, :, window.positions] = value_states[:, :, 0]
        return self.keys[:rows, :, : window.length], self.values[:rows, :, : window.length]

    def lazy_initialization(self, key_states: torch.Tensor, value_states: torch.Tensor) -> None:
        if not self.is_initialized or (self.keys.shape[0], self.keys.shape[2]) != self.window.capacity:
            self.keys = self._resized(self.keys, key_states)
            self.values = self._resized(self.values, value_states)
            self.is_initialized = True

    def _resized(self, old: torch.Tensor | None, like: torch.Tensor) -> torch.Tensor:
        # Zeros, since what is masked is multiplied by zero, and that must not meet a NaN.
        slots, length = self.window.capacity
        new = torch.zeros(slots, like.shape[1], length, like.shape[3], dtype=like.dtype)
        if old is not None:
            kept = old[:slots, :, :length]
            new[: kept.shape[0], :, : kept.shape[2]] = kept
        return new


class SlotCache(Cache):
    """All layers' slots."""

    def __init__(self, layers: int) -> None:
        self.window = Window()
        super().__init__(layers=[SlotLayer(self.window) for _ in range(layers)])

    @property
    def capacity(self) -> tuple[int, int]:
        """Slots, and positions in each."""
        return self.window.capacity

    def reserve(self, slots: int, length: int) -> None:
        """Make room for so many rows in all, the longest of so many tokens. What does not fit any more is lost."""
        self.window.capacity = grown(self.window.capacity, slots, rounded(length))

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy a row's first `length` positions into another slot."""
        for layer in self.layers:
            layer.keys[target, :, :length] = layer.keys[source, :, :length]
            layer.values[target, :, :length] = layer.values[source, :, :length]

    def bytes_per_token(self) -> int:
        """Bytes that one position of one slot takes in all layers; known after the first pass."""
        return sum(
            part.shape[1] * part.shape[3] * part.element_size()
            for layer in self.layers
            for part in (layer.keys, layer.values)
            if part is not None
        )


def grown(have: tuple[int, int], slots: int, length: int) -> tuple[int, int]:
    """The slots, and positions in each, of a cache that has `have` and needs so many: doubled, never far too many."""
    if slots <= have[0] and length <= have[1]:
        return have
    need = (1 << (slots - 1).bit_length(), length)
    both = (max(need[0], have[0]), max(need[1], have[1]))
    return both if both[0] * both[1] <= WASTE * need[0] * need[1] else need


def rounded(length: int) -> int:
    """`length` up to a whole number of steps."""
    return multiple(length, LENGTH_STEP)


def multiple(length: int, step: int) -> int:
    """`length` up to a whole number of `step`s."""
    return -(-length // step) * step
