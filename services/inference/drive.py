"""Asking an engine many things at once, through its loss: a lost engine is started again, and asked what is left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol, TypeVar

import structlog

from services.inference.engines.base import Engine, EngineLost, Serving
from services.inference.keeper import Keeper
from shared.context import StageContext
from shared.errors import Outage, StageError

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")
FRUITLESS = 3
"""How often in a row an engine may be lost before it has answered anything."""
TICK = 0.25


class Closing(Protocol):
    async def aclose(self) -> None: ...


AskerT = TypeVar("AskerT", bound=Closing)


def ask_all(
    ctx: StageContext,
    keeper: Keeper,
    serving: Serving,
    items: Sequence[Item],
    connect: Callable[[Engine], AskerT],
    ask: Callable[[AskerT, Item], Awaitable[Result]],
) -> tuple[list[Result], float]:
    """The results of `ask` for all items, in order, and the seconds that engines worked on them.

    `connect` makes the client for an engine. A wait for the machine's lock or for a start does not count.

    Raises:
        StageError: a managed engine was lost too often.
        Outage: an external engine does not answer.
        Stopped: the stage must end.
    """
    results: dict[int, Result] = {}
    fruitless, seconds = 0, 0.0
    while len(results) < len(items):
        before = len(results)
        with keeper.engine(serving, ctx.check, lambda why: ctx.progress(len(results), len(items), note=why)) as engine:
            clock = time.monotonic()
            try:
                asyncio.run(_ask_some(ctx, engine, items, connect, ask, results))
            except EngineLost as loss:
                fruitless = fruitless + 1 if len(results) == before else 0
                log.warning("engine.lost", reason=str(loss), answered=len(results), of=len(items))
                ctx.log(f"the engine was lost after {len(results)} of {len(items)} answers: {loss}")
                if words := engine.last_words():
                    ctx.log(f"the end of what it wrote:\n{words}")
                if not engine.managed:
                    raise Outage(f"the engine at {engine.url} does not answer: {loss}") from loss
                if fruitless == FRUITLESS:
                    raise StageError(
                        f"the engine was lost {fruitless} times in a row before it answered: {loss}"
                    ) from loss
            finally:
                seconds += time.monotonic() - clock
    return [results[at] for at in range(len(items))], seconds


async def _ask_some(
    ctx: StageContext,
    engine: Engine,
    items: Sequence[Item],
    connect: Callable[[Engine], AskerT],
    ask: Callable[[AskerT, Item], Awaitable[Result]],
    results: dict[int, Result],
) -> None:
    """Fill `results` with what it lacks, with bounded concurrency, until done or the first error."""
    asker = connect(engine)
    left = iter([at for at in range(len(items)) if at not in results])

    async def work() -> None:
        for at in left:
            results[at] = await ask(asker, items[at])

    workers = [asyncio.create_task(work()) for _ in range(ctx.settings.request_concurrency)]
    pending = set(workers)
    try:
        while pending:
            done, pending = await asyncio.wait(pending, timeout=TICK, return_when=asyncio.FIRST_EXCEPTION)
            ctx.check()
            ctx.progress(len(results), len(items))
            for task in done:
                task.result()
    finally:
        for task in workers:
            task.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
        await asker.aclose()
