"""Running one unit: lease, start marker, handler, files, manifest last. The only way in which work is committed."""

from __future__ import annotations

import errno
import importlib.metadata
import platform
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import kombu.exceptions
import pyarrow as pa
import redis
import structlog
from celery import Celery
from celery import signals as celery_signals

from shared import records, signals
from shared.artifacts import (
    FileRef,
    Manifest,
    StageResult,
    commit_name,
    commit_prefix,
)
from shared.attempts import Attempt, Outcome
from shared.canonical import sha256_file, sha256_hex
from shared.context import StageContext
from shared.disk import FIX
from shared.errors import BadInput, Later, Outage, PermanentError, Stopped, TouchstoneError
from shared.gather import gather
from shared.kinds import queue_of
from shared.leases import Lease, Leases
from shared.queues import redis_client, worker_name
from shared.settings import Settings, get_settings
from shared.store import ObjectStore, S3Store
from shared.units import Unit

log = structlog.get_logger()

Handler = Callable[[StageContext], StageResult]
OUTAGES = (Outage, redis.RedisError, kombu.exceptions.OperationalError)
DISK_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO})
CHECKPOINTS, STATES = "checkpoints/", "states/"
"""What a training keeps in its scratch until it is committed."""
LIBRARIES = ("touchstone-rlaif", "torch", "transformers", "trl", "peft", "openai", "numpy", "scipy", "pyarrow")


class Runner:
    """One process's runner: its store, its Redis and its leases."""

    def __init__(self, settings: Settings, store: ObjectStore, client: redis.Redis) -> None:
        self.settings = settings
        self.store = store
        self.redis = client
        self.leases = Leases(client, settings.lease_seconds)
        self.shutdown = threading.Event()
        self._late: list[Attempt] = []

    def run(self, unit: Unit, handler: Handler) -> None:
        """Do a unit, unless it is committed or somebody else does it; never raises for what the work does."""
        attempt = Attempt(unit)
        lease = self.leases.take(unit.commit_key, attempt.id)
        try:
            # Within the block: a lease that is not given back would be renewed for as long as this process lives.
            self.redis.delete(queued_name(unit.commit_key))
            if lease is not None:
                self._run_leased(unit, handler, lease, attempt)
        except OUTAGES as outage:
            self._signal("waiting", unit, reason=str(outage))
        except OSError as error:
            if (reason := self._refused_write(error)) is None:
                raise
            self._signal("waiting", unit, reason=reason)
        finally:
            if lease is not None:
                self.leases.release(lease)
                self._signal("stopped", unit)

    def _run_leased(self, unit: Unit, handler: Handler, lease: Lease, attempt: Attempt) -> None:
        if committed := self._committed(unit):
            self._signal("commit", unit, object=committed)
            return
        # Before the start marker: where not even a folder can be made, no attempt was.
        ctx = StageContext(unit, self.settings, self.store, self.redis, lease, attempt, self.shutdown)
        with closing(ctx):
            self._write_late_outcomes()
            attempt.start(self.store)
            self._signal("started", unit, attempt=attempt.id, worker=worker_name(queue_of(unit.kind, unit.options)))
            self._attempt(ctx, handler, attempt)

    def _attempt(self, ctx: StageContext, handler: Handler, attempt: Attempt) -> None:
        unit = ctx.unit
        started, clock = datetime.now(UTC), time.monotonic()
        try:
            result = gather(ctx) if unit.parts is not None else handler(ctx)
            manifest = self._commit_patiently(ctx, attempt, result, started)
        except Stopped as stopped:
            self._end(ctx, attempt, "stopped", str(stopped))
        except Later as later:
            self._wait(ctx, attempt, later)
        except OUTAGES as outage:
            self._end(ctx, attempt, "waiting", str(outage))
            self._signal("waiting", unit, reason=str(outage))
        except Exception as error:
            self._fail(ctx, attempt, error)
        else:
            self._signal("commit", unit, object=manifest)
            self._end(ctx, attempt, "committed", f"{manifest} after {time.monotonic() - clock:.1f} s")
            self._forget_checkpoints(ctx)

    def _wait(self, ctx: StageContext, attempt: Attempt, later: Later) -> None:
        """End an attempt that has nothing to do until later; it writes no log, since many of them may follow."""
        try:
            attempt.later(self.store, str(later), later.seconds)
        except Outage as outage:
            log.warning("attempt.outcome_late", outcome="waiting", message=str(later), error=str(outage))
            self._late.append(attempt)
        self._signal("waiting", ctx.unit, reason=str(later), retry_after=later.seconds)

    def _fail(self, ctx: StageContext, attempt: Attempt, error: Exception) -> None:
        if reason := self._refused_write(error):
            self._end(ctx, attempt, "waiting", reason)
            self._signal("waiting", ctx.unit, reason=reason)
            return
        ours = isinstance(error, TouchstoneError)
        message = str(error) if ours else f"{type(error).__name__}: {error}"
        log.warning("stage.error", kind=ctx.unit.kind, key=ctx.unit.key, error=message, exc_info=True)
        self._end(
            ctx,
            attempt,
            "error",
            message,
            permanent=isinstance(error, BadInput | PermanentError),
            trace=traceback.format_exc(),
        )
        self._signal("error", ctx.unit, error=message)

    def _refused_write(self, error: Exception) -> str | None:
        """Why the wait, if it was this machine's disk that took no more; no fault of the work."""
        if not isinstance(error, OSError) or error.errno not in DISK_ERRORS:
            return None
        said = f"{error.strerror or error} on {socket.gethostname()}: {error.filename or self.settings.data_dir}"
        return f"{said}; {FIX}" if error.errno in (errno.ENOSPC, errno.EDQUOT) else said

    def _end(
        self,
        ctx: StageContext,
        attempt: Attempt,
        outcome: Outcome,
        message: str = "",
        permanent: bool = False,
        trace: str = "",
    ) -> None:
        try:
            attempt.end(self.store, outcome, message, permanent)
        except Outage as outage:
            log.warning("attempt.outcome_late", outcome=outcome, message=message, error=str(outage))
            self._late.append(attempt)
            return
        try:
            if trace:
                ctx.log(trace)
            ctx.log(f"{outcome}: {message}")
            ctx.flush_log()
        except Outage as outage:
            log.warning("stage.log_lost", key=ctx.unit.key, error=str(outage))

    def _write_late_outcomes(self) -> None:
        """Write the outcomes that an outage of the store has held up: without, they would count as lost attempts."""
        while self._late:
            attempt = self._late.pop()
            try:
                attempt.write(self.store)
            except Outage:
                self._late.append(attempt)
                raise

    def _forget_checkpoints(self, ctx: StageContext) -> None:
        try:
            for folder in (CHECKPOINTS, STATES):
                self.store.delete([info.name for info in self.store.list(f"{ctx.scratch}{folder}")])
        except Outage as outage:
            log.warning("checkpoints.left", key=ctx.unit.key, error=str(outage))

    def _committed(self, unit: Unit) -> str | None:
        names = [info.name for info in self.store.list(commit_prefix(unit.commit_key))]
        return next((name for name in names if name not in unit.stale), None)

    def _commit_patiently(self, ctx: StageContext, attempt: Attempt, result: StageResult, started: datetime) -> str:
        """Commit, and where the store is away, wait for it: the result is here, and may have taken hours."""
        while True:
            try:
                return self._commit(ctx, attempt, result, started)
            except Outage as outage:
                log.warning("stage.commit_waits", kind=ctx.unit.kind, key=ctx.unit.key, error=str(outage))
                self._signal("waiting", ctx.unit, reason=str(outage))
                ctx.wait(self.settings.retry_seconds)

    def _commit(self, ctx: StageContext, attempt: Attempt, result: StageResult, started: datetime) -> str:
        unit = ctx.unit
        files = {name: self._put(unit, name, content) for name, content in result.files.items()}
        manifest = Manifest(
            key=unit.commit_key,
            kind=unit.kind if unit.shard is None else f"{unit.kind}.shard",
            attempt=attempt.id,
            files=files,
            inputs=unit.inputs,
            metrics=result.metrics,
            cost=result.cost,
            versions=versions(),
            host=socket.gethostname(),
            started=started.isoformat(),
            finished=datetime.now(UTC).isoformat(),
        )
        name = commit_name(unit.commit_key, attempt.id)
        ctx.wait_held()
        if found := self._committed(unit):
            # Ours where the store took it and could not say so.
            if found == name:
                return name
            raise Stopped("another worker has committed this unit meanwhile")
        self.store.put(name, manifest.to_json())
        return name

    def _put(self, unit: Unit, name: str, content: pa.Table | bytes | Path | FileRef) -> FileRef:
        """Write one file of the result under its content's name, unless it is in the store."""
        if isinstance(content, FileRef):
            return content
        rows = content.num_rows if isinstance(content, pa.Table) else None
        data = records.to_bytes(content) if isinstance(content, pa.Table) else content
        digest = sha256_file(data) if isinstance(data, Path) else sha256_hex(data)
        target = stage_file(unit, name, digest)
        if isinstance(data, Path):
            size = data.stat().st_size
            self.store.put_file(target, data)
        else:
            size = len(data)
            self.store.put(target, data)
        return FileRef(object=target, sha256=digest, size=size, rows=rows)

    def _signal(self, type: signals.Type, unit: Unit, **fields: Any) -> None:
        signals.send(self.redis, type, key=unit.key, unit=unit.commit_key, **fields)


def stage_file(unit: Unit, name: str, digest: str) -> str:
    """Where a file of a unit's result lies, by its content."""
    return f"stages/{unit.kind}/{unit.commit_key}/{digest}{''.join(Path(name).suffixes[-1:])}"


def queued_name(commit_key: str) -> str:
    """The Redis key that marks a unit as queued."""
    return f"queued:{commit_key}"


@cache
def versions() -> dict[str, str]:
    """The versions that a result may depend on, of what is installed here."""
    found = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


@cache
def process_runner() -> Runner:
    """This process's runner, made at its first unit."""
    settings = get_settings()
    store = S3Store.from_settings(settings)
    runner = Runner(settings, store, redis_client(settings))
    celery_signals.worker_shutting_down.connect(lambda **_: runner.shutdown.set(), weak=False)
    return runner


def register(app: Celery, kind: str, handler: Handler) -> None:
    """Make `handler` the Celery task of a kind of stage."""

    def task(payload: dict[str, Any]) -> None:
        process_runner().run(Unit.model_validate(payload), handler)

    app.task(name=kind)(task)
