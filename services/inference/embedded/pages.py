"""Keys and values as compiled passes read them: a slot a row, each of whole pages that lie one after the other."""

from __future__ import annotations

import torch

from services.inference.embedded.cache import grown, multiple

PAGE = 32
"""Positions of a page, as OpenVINO's attention has them on a CPU."""


class Pages:
    """All layers' slots, [parts, pages, heads, PAGE, dim]: keys, then values, of each layer in turn. The first page is
    nobody's: passes put there what has no row."""

    def __init__(self, parts: int, heads: int, dim: int) -> None:
        self.capacity = (0, 0)
        self._shape = (parts, heads, dim)
        self.parts = self._made(0)

    def reserve(self, slots: int, length: int) -> None:
        """Make room for so many rows in all, the longest of so many tokens. What does not fit any more is lost."""
        capacity = grown(self.capacity, slots, multiple(length, PAGE))
        if capacity == self.capacity:
            return
        old, self.capacity = self._by_slot(), capacity
        self.parts = self._made(capacity[0] * capacity[1] // PAGE)
        new = self._by_slot()
        kept = old[:, : new.shape[1], : new.shape[2]]
        new[:, : kept.shape[1], : kept.shape[2]] = kept

    def clear(self) -> None:
        """Let go of all."""
        self.capacity, self.parts = (0, 0), self._made(0)

    def of(self, slots: torch.Tensor) -> torch.Tensor:
        """The pages of slots [R], int32 [R, pages of each]."""
        each = self.capacity[1] // PAGE
        return (1 + slots[:, None] * each + torch.arange(each)).int()

    @torch.inference_mode()
    def copy(self, source: int, target: int, length: int) -> None:
        """Copy a row's first `length` positions into another slot."""
        slots, pages = self._by_slot(), multiple(length, PAGE) // PAGE
        slots[:, target, :pages] = slots[:, source, :pages]

    def bytes_per_token(self) -> int:
        """Bytes that one position of one slot takes in all layers."""
        parts, heads, dim = self._shape
        return parts * heads * dim * self.parts.element_size()

    def _made(self, pages: int) -> torch.Tensor:
        parts, heads, dim = self._shape
        return torch.zeros(parts, 1 + pages, heads, PAGE, dim)

    def _by_slot(self) -> torch.Tensor:
        """[parts, slots, pages of each, heads, PAGE, dim]"""
        slots, length = self.capacity
        return self.parts[:, 1:].view(len(self.parts), slots, length // PAGE, *self.parts.shape[2:])
