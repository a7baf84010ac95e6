"""Lines: experiments take turns, whoever came first."""

from __future__ import annotations

from shared.llm.chat import ChatRequest
from shared.llm.lines import Lines, Slot


def test_experiments_take_turns_in_the_order_in_which_they_came() -> None:
    lines = Lines()
    slots = [Slot(ChatRequest(()), tenant) for tenant in ["big"] * 4 + ["small"] * 2]
    for slot in slots:
        lines.add(slot)
    served = []
    while lines:
        slot = next(iter(lines.in_turn()))
        lines.remove(slot)
        served.append(slots.index(slot))
    assert served == [0, 4, 1, 5, 2, 3]


def test_all_in_turn_is_one_of_each_then_the_next_of_each() -> None:
    lines = Lines()
    slots = [Slot(ChatRequest(()), tenant) for tenant in "aaabc"]
    for slot in slots:
        lines.add(slot)
    assert [slots.index(slot) for slot in lines.in_turn()] == [0, 3, 4, 1, 2]
    lines.remove(slots[0])
    lines.remove(slots[0])
    assert slots[0] not in lines and slots[1] in lines


def test_of_one_tenant_those_of_the_call_that_began_first_go_first_and_each_call_keeps_its_order() -> None:
    lines = Lines()
    slots = [Slot(ChatRequest(()), "a", since) for since in (1.0, 2.0, 1.0, 2.0, 1.0)]
    other = Slot(ChatRequest(()), "b", 9.0)
    for slot in [*slots, other]:
        lines.add(slot)
    assert list(lines.in_turn()) == [slots[0], other, slots[2], slots[4], slots[1], slots[3]]
