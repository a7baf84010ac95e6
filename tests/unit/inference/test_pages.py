"""Pages of keys and values: each slot's own, kept while there is room, and copied as far as they are filled."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from services.inference.embedded.pages import PAGE, Pages


def filled(slots: int, length: int) -> Pages:
    """Pages whose every float is another one, nobody's page included."""
    pages = Pages(4, 2, 3)
    pages.reserve(slots, length)
    pages.parts.copy_(torch.arange(pages.parts.numel(), dtype=torch.float32).view_as(pages.parts))
    return pages


@given(st.integers(1, 9), st.integers(1, 100))
def test_slots_have_room_for_what_was_reserved_in_pages_that_are_nobody_else_s(slots: int, length: int) -> None:
    pages = filled(slots, length)
    own = pages.of(torch.arange(slots))
    assert own.shape[1] * PAGE >= length
    assert len(set(own.flatten().tolist())) == own.numel() and 0 not in own
    assert int(own.max()) < pages.parts.shape[1]


@given(st.integers(1, 5), st.integers(1, 100), st.integers(1, 9), st.integers(1, 200))
def test_what_there_is_room_for_stays_when_they_grow(slots: int, length: int, more: int, longer: int) -> None:
    pages = filled(slots, length)
    before = pages.parts[:, pages.of(torch.arange(slots)).long()]
    pages.reserve(more, longer)
    after = pages.parts[:, pages.of(torch.arange(min(slots, pages.capacity[0]))).long()]
    both = [min(sizes) for sizes in zip(before.shape[1:3], after.shape[1:3], strict=True)]
    assert torch.equal(after[:, : both[0], : both[1]], before[:, : both[0], : both[1]])


def test_a_row_is_copied_as_far_as_it_is_filled() -> None:
    pages = filled(3, 3 * PAGE)
    first, _, third = pages.of(torch.arange(3)).long()
    beyond = pages.parts[:, third[2]].clone()
    pages.copy(0, 2, PAGE + 1)
    assert torch.equal(pages.parts[:, third[:2]], pages.parts[:, first[:2]])
    assert torch.equal(pages.parts[:, third[2]], beyond)


def test_room_that_is_let_go_of_can_be_had_again() -> None:
    pages = filled(3, 3 * PAGE)
    pages.clear()
    assert pages.parts.shape[1] == 1
    pages.reserve(2, 1)
    assert pages.of(torch.arange(2)).tolist() == [[1], [2]] and not pages.parts.any()


def test_a_position_takes_a_key_and_a_value_of_every_layer() -> None:
    assert Pages(2 * 30, 3, 64).bytes_per_token() == 2 * 30 * 3 * 64 * 4
