"""The worker process around a session: opened when the worker is ready, so that what a killed one left is uploaded."""

from __future__ import annotations

import redis
import structlog
from celery import Celery, signals

from shared.context import StageContext
from shared.errors import Outage, TouchstoneError
from shared.llm.caller import Origin
from shared.llm.endpoints import Endpoint
from shared.llm.session import Session, close_sessions, process_session
from shared.runner import process_runner

log = structlog.get_logger()


def keep_session() -> None:
    """Open this process's session with its worker, and close it when that shuts down. Call before the worker runs."""
    signals.worker_ready.connect(_open, weak=False)
    signals.worker_shutdown.connect(_close, weak=False)


def register_cancel(app: Celery) -> None:
    """Make cancelling a batch that nobody needs a task of this app's."""

    def task(payload: dict[str, str]) -> None:
        runner = process_runner()
        session = process_session(runner.settings, runner.store, runner.redis)
        try:
            session.batches.cancel(payload["batch"])
        except (TouchstoneError, redis.RedisError) as error:
            log.warning("batch.not_cancelled", batch=payload["batch"], error=str(error))

    app.task(name="cancel-batch")(task)


def session_of(ctx: StageContext) -> Session:
    """The process's session."""
    return process_session(ctx.settings, ctx.store, ctx.redis)


def origin_of(ctx: StageContext) -> Origin:
    """Who asks, when this unit does."""
    return Origin(ctx.unit.experiment, ctx.unit.key)


def endpoint_of_unit(ctx: StageContext) -> Endpoint:
    """The endpoint that this unit's options describe."""
    return Endpoint.from_options(ctx.unit.options)


def _open(**_: object) -> None:
    runner = process_runner()
    session = process_session(runner.settings, runner.store, runner.redis)
    try:
        session.ledger.recover()
        session.purses.recover()
    except Outage as outage:
        log.warning("ledger.not_recovered", error=str(outage))


def _close(**_: object) -> None:
    close_sessions()
