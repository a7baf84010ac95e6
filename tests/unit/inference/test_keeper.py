from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from services.inference.drive import FRUITLESS, ask_all
from services.inference.engines.base import Check, Client, Engine, EngineLost, Note, Serving, quiet
from services.inference.keeper import Keeper
from shared.errors import Outage, StageError, Stopped
from shared.settings import Settings
from tests.waiting import wait_until

ONE, TWO = Serving("stub", folder=Path("one")), Serving("stub", folder=Path("two"))


class StubEngine:
    """An engine that only counts."""

    client: Client = "openai"
    model = "stub"
    together = True

    def __init__(self, serving: Serving, managed: bool) -> None:
        self.serving = serving
        self.managed = managed
        self.url = "http://stub"
        self.ended = False
        self.well = True

    def healthy(self) -> bool:
        return self.well and not self.ended

    def last_words(self) -> str:
        return "Killed"

    def end(self) -> None:
        self.ended = True


class StubStarter:
    def __init__(self, managed: bool = True) -> None:
        self.managed = managed
        self.engines: list[StubEngine] = []
        self.closed = 0

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        assert all(engine.ended for engine in self.engines), "two engines at once"
        self.engines.append(StubEngine(serving, self.managed))
        return self.engines[-1]

    def close(self) -> None:
        self.closed += 1


class StubContext:
    """As much of a stage's context as asking needs."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lines: list[str] = []
        self.stop_after = 10**9
        self.checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks > self.stop_after:
            raise Stopped("cancelled")

    def progress(self, done: int, total: int, note: str | None = None) -> None:
        assert done <= total

    def log(self, line: str) -> None:
        self.lines.append(line)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, request_concurrency=4)


@pytest.fixture
def starter() -> StubStarter:
    return StubStarter()


@pytest.fixture
def keeper(settings: Settings, starter: StubStarter) -> Iterator[Keeper]:
    made = Keeper(settings, {"stub": starter})
    yield made
    made.close()
    assert all(engine.ended for engine in starter.engines)


def use(keeper: Keeper, serving: Serving) -> Engine:
    with keeper.engine(serving, lambda: None) as engine:
        return engine


def test_an_engine_is_reused_until_what_it_serves_changes(keeper: Keeper, starter: StubStarter) -> None:
    assert use(keeper, ONE) is use(keeper, ONE)
    use(keeper, TWO)
    assert [engine.ended for engine in starter.engines] == [True, False]
    use(keeper, ONE)
    assert len(starter.engines) == 3


def test_an_engine_that_does_not_answer_is_replaced(keeper: Keeper, starter: StubStarter) -> None:
    use(keeper, ONE)
    starter.engines[0].well = False
    use(keeper, ONE)
    assert [engine.ended for engine in starter.engines] == [True, False]


def test_an_idle_engine_ends_and_a_used_one_does_not(settings: Settings, starter: StubStarter) -> None:
    keeper = Keeper(settings, {"stub": starter}, idle_seconds=0.3)
    use(keeper, ONE)
    wait_until(lambda: starter.engines[0].ended and starter.closed, 5, "the idle engine to end")
    with keeper.engine(ONE, lambda: None) as engine:
        assert isinstance(engine, StubEngine)
        assert not engine.ended
    keeper.close()


class Asker:
    """Answers an item with its square, until the engine is lost."""

    def __init__(self, losses: list[int]) -> None:
        self.losses = losses
        self.left = losses.pop(0) if losses else 10**9

    async def ask(self, item: int) -> int:
        if self.left <= 0:
            raise EngineLost("connection refused")
        self.left -= 1
        await asyncio.sleep(0)
        return item * item

    async def aclose(self) -> None:
        return None


def run(ctx: Any, keeper: Keeper, losses: list[int]) -> list[int]:
    connect: Callable[[Engine], Asker] = lambda _: Asker(losses)  # noqa: E731
    return ask_all(ctx, keeper, ONE, list(range(50)), connect, lambda asker, item: asker.ask(item))[0]


def test_a_lost_engine_is_asked_again_for_what_is_left(settings: Settings, keeper: Keeper) -> None:
    ctx = StubContext(settings)
    assert run(ctx, keeper, [10, 0, 0, 20, 0, 0]) == [item * item for item in range(50)]
    assert sum("lost after" in line for line in ctx.lines) == 6
    assert sum("Killed" in line for line in ctx.lines) == 6


def test_an_engine_that_is_always_lost_fails_the_stage(settings: Settings, keeper: Keeper) -> None:
    with pytest.raises(StageError, match=f"lost {FRUITLESS} times in a row before it answered: connection refused"):
        run(StubContext(settings), keeper, [5] + [0] * 20)


def test_a_running_server_that_is_lost_is_an_outage(settings: Settings) -> None:
    keeper = Keeper(settings, {"stub": StubStarter(managed=False)})
    with pytest.raises(Outage, match="http://stub does not answer"):
        run(StubContext(settings), keeper, [5])
    keeper.close()


def test_a_stage_that_must_stop_stops(settings: Settings, keeper: Keeper) -> None:
    class Silent(Asker):
        async def ask(self, item: int) -> int:
            await asyncio.Event().wait()
            return item

    ctx: Any = StubContext(settings)
    ctx.stop_after = 1
    with pytest.raises(Stopped):
        ask_all(ctx, keeper, ONE, [1, 2, 3], lambda _: Silent([]), lambda asker, item: asker.ask(item))
