"""Submitting requests as batches: the open batch first, then its money, its input file, and the batch itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import redis
import structlog
from ulid import ULID

from shared.errors import Outage
from shared.llm.batch_money import BatchMoney, affordable, batch_bound
from shared.llm.batches import BatchAPI, OpenBatch, claim_name, open_names, split, stage_error
from shared.llm.chat import ChatError, ChatRequest, Refused
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Scope
from shared.llm.ledger import Ledger
from shared.llm.queue_room import QueueRoom
from shared.store import ObjectStore

log = structlog.get_logger()


@dataclass(frozen=True)
class Submission:
    """What is to be submitted, and for whom. `origin`: experiment and stage; `budget`: the kind of stage whose budget
    pays, None where there is none."""

    requests: Mapping[str, ChatRequest]
    identity: Mapping[str, Any]
    endpoint: Endpoint
    origin: tuple[str, str]
    budget: str | None = None


class Submitter:
    """One process's; thread-safe."""

    def __init__(self, store: ObjectStore, ledger: Ledger, money: BatchMoney, room: QueueRoom) -> None:
        self._store = store
        self._ledger = ledger
        self._money = money
        self._room = room

    def submit(self, api: BatchAPI, given: Submission, check: Callable[[], None]) -> str | None:
        """Submit requests, whose claims are ours, as one batch or more; `check` is called before each and may raise.
        Returns why some have to wait, if they do.

        Raises:
            PermanentError: the endpoint refused; nothing of the batch was taken.
            BudgetSpent: there is no money for any of a batch.
            Outage: it cannot be reached, or did not say whether it took the batch: a later look tells.
        """
        scope = Scope.of(given.identity).name
        if self._room.full(scope, list(open_names(self._store, scope))):
            return f"{len(given.requests):,} requests wait for room in the provider's queue"
        waiting = 0
        lines = ((key, api.line(key, request)) for key, request in given.requests.items())
        for part in split(lines, self._room.most(scope)):
            waiting += self._submit_part(api, given, scope, dict(part), check)
        return f"{waiting:,} requests wait for money that is promised to batches" if waiting else None

    def _submit_part(
        self, api: BatchAPI, given: Submission, scope: str, lines: Mapping[str, bytes], check: Callable[[], None]
    ) -> int:
        """Submit one batch; returns how many of its requests have to wait for money."""
        bounds = tuple(batch_bound(given.requests[key], given.endpoint) for key in lines)
        batch = OpenBatch(
            id=str(ULID()),
            scope=scope,
            experiment=given.origin[0],
            stage=given.origin[1],
            identity=dict(given.identity),
            options=given.endpoint.to_options(),
            keys=tuple(lines),
            at=time.time(),
            budget=given.budget if any(bounds) else None,
            bounds=bounds if any(bounds) else (),
        )
        claim = self._ledger.claims.claim([claim_name(batch.id)], check)
        try:
            check()
            batch.write(self._store)
            paid = self._pay(batch, check)
            if paid.keys:
                self._send(api, paid, b"".join(lines[key] for key in paid.keys), check)
            return len(batch.keys) - len(paid.keys)
        finally:
            self._ledger.claims.release(claim)

    def _pay(self, batch: OpenBatch, check: Callable[[], None]) -> OpenBatch:
        """The batch with those of its requests that there is money for. Where that is none, it is open no more."""
        if batch.budget is None:
            return batch
        try:
            paid = affordable(batch, self._money.take(batch, check))
        except BaseException:
            self._withdraw(batch)
            raise
        if not paid.keys:
            self._close(batch)
        elif len(paid.keys) < len(batch.keys):
            paid.write(self._store)
        return paid

    def _send(self, api: BatchAPI, batch: OpenBatch, lines: bytes, check: Callable[[], None]) -> None:
        try:
            file = self._upload(api, batch, lines, check)
            state = api.create(file, batch.id)
        except Refused as error:
            self.give_up(api, batch)
            if error.field == "model":  # 404
                error = Refused("mode", f"{error} (where the endpoint has no Batch API, leave out `mode: batch`)")
            raise stage_error(batch, error) from error
        except ChatError as error:
            raise stage_error(batch, error) from error
        replace(batch, batch=state.id).write(self._store)

    def _upload(self, api: BatchAPI, batch: OpenBatch, lines: bytes, check: Callable[[], None]) -> str:
        file = api.upload(lines, batch.id)
        try:
            check()
            # Whoever took us for dead has closed it, and its purse with it.
            if not self._ledger.claims.holds(claim_name(batch.id)) or not self._store.exists(batch.name):
                raise Outage("a batch that was not submitted in time was given up")
        except BaseException:
            self._forget_upload(api, batch)
            self._withdraw(batch)
            raise
        return file

    def give_up(self, api: BatchAPI, batch: OpenBatch) -> None:
        """Close a batch that was never made: its purse and its object, and its input file, as far as the provider lets
        us."""
        self._forget_upload(api, batch)
        self._close(batch)

    def _forget_upload(self, api: BatchAPI, batch: OpenBatch) -> None:
        try:
            api.forget_upload(batch.id)
        except ChatError as error:
            log.warning("batch.files_left", batch=batch.id, error=str(error))

    def _close(self, batch: OpenBatch) -> None:
        self._money.close(batch, 0)
        self._store.delete([batch.name])

    def _withdraw(self, batch: OpenBatch) -> None:
        """Close it amid another error; what cannot be done now is left to a later look."""
        with suppress(Outage, redis.RedisError):
            self._close(batch)
