"""Money: whatever is asked, answered, closed or lost in whatever order, nobody may spend more than the budget."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.conductor.treasury import Treasury, decide
from shared.budget import (
    NANO,
    Account,
    Ask,
    Budget,
    closed_name,
    counted,
    dollars,
    grant_name,
    left,
    nano,
    read_accounts,
)
from shared.store import MemoryStore, ObjectInfo

BUDGET = Budget(1000, {"judge": 600})
SMALL = Budget(100, {"judge": 70})
"""So small that two requests may be too much."""


def ask(purse: str, **fields: Any) -> Ask:
    given = {"seq": 1, "kind": "teach", "stage": "5" * 64, "limit": 0, "spent": 0, "wanted": 100, "least": 10}
    return Ask(experiment="e", purse=purse, **{**given, "busy": False, "reply": purse, **fields})


class Steps:
    """Lets threads take one step at a time, in a drawn order."""

    def __init__(self, choose: Callable[[int], int]) -> None:
        self._choose = choose
        self._changed = threading.Condition()
        self._waiting: dict[str, threading.Event] = {}
        self._alive: set[str] = set()

    def step(self) -> None:
        name = threading.current_thread().name
        ready = threading.Event()
        with self._changed:
            if name not in self._alive:
                return
            self._waiting[name] = ready
            self._changed.notify()
        ready.wait()

    def run(self, works: Iterable[Callable[[], object]]) -> None:
        threads = [threading.Thread(target=self._work, args=(work,), name=f"w{at}") for at, work in enumerate(works)]
        self._alive = {thread.name for thread in threads}
        for thread in threads:
            thread.start()
        try:
            self._one_at_a_time()
        finally:  # an example that hypothesis ends early leaves no thread behind
            with self._changed:
                self._alive.clear()
                for ready in self._waiting.values():
                    ready.set()
            for thread in threads:
                thread.join()

    def _one_at_a_time(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: len(self._waiting) == len(self._alive))
                if not self._alive:
                    return
                chosen = sorted(self._waiting)[self._choose(len(self._waiting))]
                self._waiting.pop(chosen).set()

    def _work(self, work: Callable[[], object]) -> None:
        self.step()
        work()
        with self._changed:
            self._alive.discard(threading.current_thread().name)
            self._changed.notify()


class SteppedStore(MemoryStore):
    """A store whose every call is a step."""

    steps: Steps | None = None

    def _step(self) -> None:
        if self.steps is not None:
            self.steps.step()

    def put(self, name: str, data: bytes) -> None:
        self._step()
        super().put(name, data)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self._step()
        return iter([*super().list(prefix)])

    def delete(self, names: Iterable[str]) -> None:
        self._step()
        super().delete(names)


class Replies:
    """What a conductor needs of Redis."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []

    def rpush(self, name: str, value: str) -> None:
        self.said.append(json.loads(value))

    def expire(self, name: str, seconds: int) -> None:
        """Nothing is kept."""


@dataclass
class Worker:
    """A purse as its process knows it."""

    name: str
    kind: str
    limit: int = 0
    spent: int = 0
    seq: int = 0
    state: str = "alive"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_two_conductors_never_let_purses_spend_more_than_the_budget(data: st.DataObject) -> None:
    store, replies = SteppedStore(), Replies()
    conductors = [Treasury(store, replies) for _ in range(2)]
    workers = [Worker(f"p{number}", data.draw(st.sampled_from(["teach", "judge"]))) for number in range(4)]

    def draw(most: int) -> int:
        return data.draw(st.integers(0, most))

    for _ in range(6):
        asking = [worker for worker in workers if worker.state == "alive" and draw(3)]
        for worker in asking:
            worker.spent += draw(worker.limit - worker.spent)
            if draw(1):
                worker.limit = worker.spent + draw(worker.limit - worker.spent)
            worker.seq += draw(1) or not worker.seq
            said = ask(worker.name, kind=worker.kind, seq=worker.seq, limit=worker.limit, spent=worker.spent,
                       wanted=draw(500) + 1, least=draw(50) + 1, busy=bool(draw(1)))  # fmt: skip
            for conductor in conductors:
                if draw(2):
                    conductor.hear(said)
        closing = [worker for worker in workers if worker.state == "alive" and not draw(7)]
        for worker in closing:
            worker.state = data.draw(st.sampled_from(["closed", "lost"]))
        store.steps = Steps(lambda count: draw(count - 1))
        store.steps.run(
            [
                *((lambda one=conductor: one.answer({"e": SMALL})) for conductor in conductors),
                *((lambda one=worker: store.put(closed_name("e", one.name, one.kind, "5", one.spent), b""))
                  for worker in closing if worker.state == "closed"),
            ]
        )  # fmt: skip
        store.steps = None
        if not draw(4):  # one of them was killed, and is back
            conductors[draw(1)] = Treasury(store, replies)
        heard = [replies.said.pop(draw(len(replies.said) - 1)) for _ in range(len(replies.said))]
        for worker in workers:
            for answer in heard:
                if (worker.name, worker.seq, worker.state) == (answer["purse"], answer["seq"], "alive"):
                    worker.limit = answer["limit"] or worker.limit
                    worker.seq += 1  # a second answer to the same question does not count
        bound = {kind: sum(one.spent if one.state == "closed" else one.limit for one in workers if one.kind == kind)
                 for kind in ("teach", "judge")}  # fmt: skip
        assert sum(bound.values()) <= 100
        assert bound["judge"] <= 70


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 60)), min_size=1, max_size=6), st.integers(0, 1000))
def test_shares_shrink_but_never_below_what_a_request_needs(wants: list[tuple[int, int]], spent: int) -> None:
    before = {"old": Account("teach", "s", spent=spent)}
    asks = [ask(f"p{at}", wanted=max(want, least), least=least) for at, (want, least) in enumerate(wants)]
    decisions = decide(Budget(1000), before, asks, others_busy=False)
    given = [decision.limit for decision in decisions if decision.limit is not None]
    assert sum(given) <= 1000 - spent
    assert all(decision.limit is None or decision.limit >= decision.ask.least for decision in decisions)
    assert given or 1000 - spent < min(one.least for one in asks)
    if not given:
        assert all(decision.final for decision in decisions)


def test_nobody_is_refused_while_somebody_may_give_money_back() -> None:
    full = {"old": Account("teach", "s", 1, 995)}
    assert [one.final for one in decide(Budget(1000), full, [ask("p")], others_busy=True)] == [False]
    assert [one.final for one in decide(Budget(1000), full, [ask("p", busy=True)], others_busy=False)] == [False]
    assert [one.final for one in decide(Budget(1000), full, [ask("p")], others_busy=False)] == [True]
    back = [ask("old", limit=900, spent=900, seq=2), ask("p")]
    assert [one.limit for one in decide(Budget(1000), full, back, others_busy=False)] == [925, 37]


def test_the_records_say_what_counts() -> None:
    names = [
        grant_name(ask("a", seq=1), 300, "c1"),
        grant_name(ask("a", seq=2), 200, "c1"),
        grant_name(ask("a", seq=2), 250, "c2"),
        grant_name(ask("b", kind="judge"), 500, "c1"),
        closed_name("e", "b", "judge", "5" * 64, 120),
        "experiments/e/grants/else",
    ]
    for order in (names, names[::-1]):
        accounts = read_accounts(order)
        assert counted(accounts.values()) == 250 + 120
        assert left(BUDGET, accounts.values(), "judge") == 480
        assert left(BUDGET, accounts.values(), "teach") == 630


@pytest.mark.parametrize(("usd", "text"), [(0, "$0.00"), (12.5, "$12.50"), (0.0123, "$0.0123"), (1e-6, "$1e-06")])
def test_dollars_are_shown_with_enough_digits(usd: float, text: str) -> None:
    assert dollars(nano(usd)) == text
    assert nano(1.0) == NANO
