"""Asking an engine many things at once over HTTP: bounded, stoppable, and again from a new engine if it dies."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import httpx
import structlog
from openai import APIConnectionError, APIStatusError, AsyncOpenAI, DefaultAsyncHttpxClient

from services.inference.engines import Engine
from services.inference.holder import HOLDER
from shared.context import StageContext
from shared.errors import PermanentError, StageError

log = structlog.get_logger()

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Connection:
    """An engine, its OpenAI client, and plain HTTP for what OpenAI has no name for."""

    engine: Engine
    openai: AsyncOpenAI
    http: httpx.AsyncClient


Ask = Callable[[Connection, Item], Awaitable[Result]]

STARTS = 3
CHECK_SECONDS = 0.5
PATIENCE = 3600.0


def ask_all(ctx: StageContext, items: Sequence[Item], ask: Ask[Item, Result], concurrency: int) -> list[Result]:
    """`ask` of every item, in order. What was answered is kept when the engine dies and has to be started again.

    Raises:
        PermanentError: the engine refuses a request (a prompt longer than the context, say).
        StageError: the engine died three times.
        Stopped: the work must end.
    """
    done: dict[int, Result] = {}
    with HOLDER.lock:
        for attempt in range(1, STARTS + 1):
            engine = HOLDER.engine(ctx)
            try:
                asyncio.run(_round(ctx, engine, items, ask, concurrency, done))
            except (APIConnectionError, httpx.TransportError) as error:
                log.warning("engine.lost", attempt=attempt, error=str(error.__cause__ or error))
                ctx.log(
                    f"the engine was lost ({error.__cause__ or error}); {len(done)} of {len(items)} answers are kept"
                )
                HOLDER.close()
                continue
            return [done[index] for index in range(len(items))]
    raise StageError(f"the engine died {STARTS} times")


async def _round(
    ctx: StageContext,
    engine: Engine,
    items: Sequence[Item],
    ask: Ask[Item, Result],
    concurrency: int,
    done: dict[int, Result],
) -> None:
    todo = iter([index for index in range(len(items)) if index not in done])

    async def work(connection: Connection) -> None:
        for index in todo:
            done[index] = await ask(connection, items[index])
            ctx.progress(len(done), len(items))

    limits = httpx.Limits(max_connections=concurrency, max_keepalive_connections=concurrency)
    async with (
        AsyncOpenAI(
            api_key="none", base_url=engine.url, max_retries=0, timeout=PATIENCE, http_client=_unbounded()
        ) as client,
        httpx.AsyncClient(base_url=engine.url.removesuffix("/v1"), timeout=PATIENCE, limits=limits) as http,
    ):
        connection = Connection(engine, client, http)
        try:
            async with asyncio.TaskGroup() as group:
                workers = [group.create_task(work(connection)) for _ in range(min(concurrency, len(items)))]
                while not all(task.done() for task in workers):
                    ctx.check()
                    await asyncio.wait(workers, timeout=CHECK_SECONDS)
        except* APIStatusError as group_error:
            first = _first(group_error)
            raise PermanentError(f"the engine refused a request: {first}") from first
        except* Exception as group_error:
            raise _first(group_error) from None


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _unbounded() -> DefaultAsyncHttpxClient:
    """A client without a bound of its own on connections: how many are asked at once is bounded above."""
    return DefaultAsyncHttpxClient(timeout=PATIENCE)


def seed_of(seed: int, prompt_id: str) -> int:
    """A prompt's own seed, so that its samples do not depend on which others a shard or a rerun asks for."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{prompt_id}".encode()).digest()[:6], "big")
