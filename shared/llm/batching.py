"""Asking through a Batch API: submit, look, and take the answers into the ledger. No step is lost with its process.

Nothing is kept here that the store does not hold: an open batch (batches.py) says what was meant, the provider says
what it has. Whoever needs one of its answers looks, one process at a time (a claim named after the batch).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import redis
import structlog

from shared.budget import NANO
from shared.canonical import canonical_json
from shared.errors import BadInput, Outage, PermanentError
from shared.llm.batch_money import BatchMoney, batch_usd, spent
from shared.llm.batch_submit import Submission, Submitter
from shared.llm.batches import (
    BatchAPI,
    BatchState,
    Failure,
    OpenBatch,
    claim_name,
    id_of,
    open_names,
    read_open,
    stage_error,
    stage_of,
)
from shared.llm.chat import Answer, ChatError, Refused, endpoint_of
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Entry, Scope
from shared.llm.ledger import Ledger
from shared.llm.providers import PROVIDERS
from shared.llm.queue_room import QueueRoom
from shared.settings import Settings
from shared.store import ObjectStore

log = structlog.get_logger()

UNREAD = 3
"""How often results that are not whole are fetched again, before what can be read of them has to do."""


@dataclass
class Look:
    """What open batches hold of the wanted requests, how far they are in words, and which of their rows failed now."""

    held: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)


class Batching:
    """One process's way to Batch APIs; thread-safe."""

    def __init__(self, settings: Settings, store: ObjectStore, client: redis.Redis, ledger: Ledger) -> None:
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self._money = BatchMoney(store, client)
        self._room = QueueRoom()
        self._submitter = Submitter(store, ledger, self._money, self._room)
        self._apis: dict[bytes, BatchAPI] = {}
        self._keys: dict[str, dict[str, frozenset[str]]] = {}

    def submit(self, given: Submission, check: Callable[[], None]) -> str | None:
        """As `Submitter.submit`."""
        return self._submitter.submit(self._api(given.identity, given.endpoint), given, check)

    def look(self, scope: Scope, wanted: Collection[str], stage: str, check: Callable[[], None]) -> Look:
        """Look at every open batch that holds one of the wanted keys; answers that are there go into the ledger.

        Raises:
            PermanentError: the provider refused to tell this stage of its own batch.
            Outage: it cannot be reached, or refused to tell of another stage's.
        """
        found = Look()
        for name, mine in self._holding(scope, set(wanted)):
            try:
                self._look(name, mine, found, check)
            except (BadInput, PermanentError) as error:
                if stage_of(name) == stage:
                    raise
                raise Outage(f"a batch of another stage holds {len(mine):,} requests: {error}") from error
        return found

    def cancel(self, name: str) -> None:
        """Cancel a batch at its provider and take in what was answered; to be called until its object is gone.

        Raises:
            PermanentError, Outage: the provider refuses, or cannot be reached.
        """
        self._look(name, set(), Look(), lambda: None, cancel=True)

    def _holding(self, scope: Scope, wanted: set[str]) -> list[tuple[str, set[str]]]:
        """The open batches that hold wanted keys, and which; once submitted it keeps its keys, and is read no more."""
        names = list(open_names(self._store, scope.name))
        known = self._keys.get(scope.name, {})
        keys: dict[str, frozenset[str]] = {}
        submitted: dict[str, frozenset[str]] = {}
        for name in names:
            if name in known:
                keys[name] = submitted[name] = known[name]
            elif batch := read_open(self._store, name):
                keys[name] = frozenset(batch.keys)
                if batch.batch is not None:
                    submitted[name] = keys[name]
        self._keys[scope.name] = submitted
        return [(name, mine) for name in keys if (mine := wanted & keys[name])]

    def _look(self, name: str, mine: set[str], found: Look, check: Callable[[], None], cancel: bool = False) -> None:
        claim = self._claim(id_of(name), check)
        try:
            if claim:
                words = self._advance(name, found, cancel)
            else:
                words = "a batch is looked at by another worker"
            if words is not None:
                found.held |= mine
                found.words.append(words)
        finally:
            self._ledger.claims.release(claim)

    def _advance(self, name: str, found: Look, cancel: bool) -> str | None:
        """Do what can be done now; returns what is waited for, None where the batch is closed."""
        batch = read_open(self._store, name)
        if batch is None:
            return None
        try:
            return self._step(batch, self._api(batch.identity, Endpoint.from_options(batch.options)), found, cancel)
        except ChatError as error:
            raise stage_error(batch, error) from error

    def _step(self, batch: OpenBatch, api: BatchAPI, found: Look, cancel: bool) -> str | None:
        size = f"{len(batch.keys):,} requests"
        if batch.batch is None:
            state = api.find(batch.id, batch.at)
            if state is None:
                if time.time() - batch.at < self._settings.batch_seconds:
                    return f"a batch of {size} is being submitted"
                # Its submitter died before the provider knew of it.
                self._submitter.give_up(api, batch)
                return None
            batch = replace(batch, batch=state.id)
            batch.write(self._store)
        else:
            state = _retrieve(api, batch.batch)
        if batch.taken:
            self._finish(batch, api, state)
            return None
        if cancel and not batch.cancelled:
            batch = replace(batch, cancelled=True)
            batch.write(self._store)
        if not state.ended:
            if cancel and state.status != "cancelling":
                api.cancel(state.id)
            return f"batch {state.id} of {size} is {state.status} ({state.done or 0:,} done)"
        failed = self._collect(batch, api, state)
        self._finish(replace(batch, taken=True), api, state)
        if state.full:
            self._room.refused(batch.scope, len(batch.keys), list(open_names(self._store, batch.scope)))
            return f"batch {state.id} of {size} was not taken: {state.words}"
        self._room.answered(batch.scope)
        found.failed |= failed
        return None

    def _collect(self, batch: OpenBatch, api: BatchAPI, state: BatchState) -> dict[str, Failure]:
        """Take the answers into the ledger, and close the purse; returns the requests that have none, unless we
        cancelled them.

        Raises:
            Outage: the results are not whole.
        """
        rows = self._read(batch, api, state)
        scope, price = Scope.of(batch.identity), Endpoint.from_options(batch.options).price
        known = self._ledger.lookup(batch.keys)
        bounds = dict(zip(batch.keys, batch.bounds, strict=False))
        for key, row in rows.items():
            if isinstance(row, Answer) and key not in known:
                usd = batch_usd(price, row)
                if usd is None and key in bounds:
                    usd = bounds[key] / NANO
                self._ledger.append(scope, Entry(key, row, usd, batch.experiment, batch.stage, time.time()))
        self._ledger.flush()
        if batch.budget is not None:
            self._money.close(batch, spent(batch, state, price, rows))
        if batch.cancelled:
            return {}
        lost = Failure(state.words or f"the batch is {state.status}", whole=state.status == "failed")
        results = {key: rows.get(key, lost) for key in batch.keys if key not in known}
        return {key: row for key, row in results.items() if isinstance(row, Failure)}

    def _read(self, batch: OpenBatch, api: BatchAPI, state: BatchState) -> dict[str, Answer | Failure]:
        """The batch's results by key. Of several of one key an answer counts, and the first one."""
        rows: dict[str, Answer | Failure] = {}
        wanted, broken = set(batch.keys), 0
        for result in api.results(state):
            if result is None:
                broken += 1
            elif result[0] not in wanted:
                log.warning("batch.unknown_row", batch=state.id, custom_id=result[0][:64])
            elif not isinstance(rows.get(result[0]), Answer) and (
                result[0] not in rows or isinstance(result[1], Answer)
            ):
                rows[result[0]] = result[1]
        answered = sum(isinstance(row, Answer) or row.billed for row in rows.values())
        if (broken or answered < (state.done or 0)) and batch.unread < UNREAD:
            replace(batch, unread=batch.unread + 1).write(self._store)
            said = f"{answered:,} of {state.done or 0:,} answers can be read, {broken:,} lines cannot"
            raise stage_error(batch, ChatError("base_url", f"the results of batch {state.id} are not whole: {said}"))
        return rows

    def _finish(self, batch: OpenBatch, api: BatchAPI, state: BatchState) -> None:
        """Its answers are taken: delete its files, as far as the provider lets us, and then its object."""
        batch.write(self._store)
        try:
            api.forget(state)
        except ChatError as error:
            log.warning("batch.files_left", batch=state.id, error=str(error))
        self._store.delete([batch.name])

    def _claim(self, id: str, check: Callable[[], None]) -> set[str]:
        return self._ledger.claims.claim([claim_name(id)], check)

    def _api(self, identity: Mapping[str, Any], endpoint: Endpoint) -> BatchAPI:
        place = canonical_json([endpoint_of(identity), endpoint.api_key])
        if place not in self._apis:
            self._apis[place] = PROVIDERS[identity["provider"]].connect_batches(identity, endpoint, self._settings)
        return self._apis[place]


def _retrieve(api: BatchAPI, id: str) -> BatchState:
    try:
        return api.retrieve(id)
    except Refused as error:
        if error.field != "model":  # 404
            raise
        return BatchState(id, "failed", words=str(error))
