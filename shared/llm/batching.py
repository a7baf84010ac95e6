"""Asking through a Batch API: submit, look, and take the answers into the ledger. No step is lost with its process.

Nothing is kept here that the store does not hold: an open batch (batches.py) says what was meant, the provider says
what it has. Whoever needs one of its answers looks, one process at a time (a claim named after the batch).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ulid import ULID

from shared.budget import NANO
from shared.canonical import canonical_json
from shared.errors import BadInput, Outage, PermanentError
from shared.llm.batches import (
    BatchAPI,
    BatchState,
    Failure,
    OpenBatch,
    id_of,
    open_names,
    read_open,
    split,
    stage_of,
)
from shared.llm.chat import Answer, ChatError, ChatRequest, Refused, endpoint_of
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Entry, Scope
from shared.llm.ledger import Ledger
from shared.llm.providers import PROVIDERS
from shared.llm.providers.base import Price
from shared.llm.purse import bound_of
from shared.settings import Settings
from shared.store import ObjectStore


@dataclass
class Look:
    """What open batches hold of the wanted requests, how far they are in words, and which of their rows failed now."""

    held: set[str] = field(default_factory=set)
    words: list[str] = field(default_factory=list)
    failed: dict[str, Failure] = field(default_factory=dict)


class Batching:
    """One process's way to Batch APIs; thread-safe."""

    def __init__(self, settings: Settings, store: ObjectStore, ledger: Ledger) -> None:
        self._settings = settings
        self._store = store
        self._ledger = ledger
        self._apis: dict[bytes, BatchAPI] = {}
        self._keys: dict[str, dict[str, frozenset[str]]] = {}

    def submit(
        self,
        requests: Mapping[str, ChatRequest],
        identity: Mapping[str, Any],
        endpoint: Endpoint,
        origin: tuple[str, str],
        check: Callable[[], None],
    ) -> None:
        """Submit requests, whose claims are ours, as one batch or more. `check` is called before each and may raise.

        Raises:
            PermanentError: the endpoint refused; nothing of the batch was taken.
            Outage: it cannot be reached, or did not say whether it took the batch: a later look tells.
        """
        api = self._api(identity, endpoint)
        scope = Scope.of(identity)
        for part in split((key, api.line(key, request)) for key, request in requests.items()):
            keys = tuple(key for key, _ in part)
            options = endpoint.to_options()
            bounds = tuple(_bound(endpoint, requests[key]) for key in keys) if endpoint.price else ()
            batch = OpenBatch(
                str(ULID()), scope.name, *origin, dict(identity), options, keys, time.time(), bounds=bounds
            )
            claim = self._claim(batch.id, check)
            try:
                check()
                batch.write(self._store)
                self._submit(api, batch, b"".join(line for _, line in part))
            finally:
                self._ledger.claims.release(claim)

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
        """The open batches that hold wanted keys, and which; each is read once for its keys, which never change."""
        names = list(open_names(self._store, scope.name))
        known = self._keys.get(scope.name, {})
        keys = {name: known[name] if name in known else self._read_keys(name) for name in names}
        self._keys[scope.name] = keys
        return [(name, mine) for name in names if (mine := wanted & keys[name])]

    def _read_keys(self, name: str) -> frozenset[str]:
        batch = read_open(self._store, name)
        return frozenset() if batch is None else frozenset(batch.keys)

    def _submit(self, api: BatchAPI, batch: OpenBatch, lines: bytes) -> None:
        try:
            state = api.submit(lines, batch.id)
        except Refused as error:
            self._store.delete([batch.name])
            if error.field == "model":  # 404
                error = Refused("mode", f"{error} (where the endpoint has no Batch API, leave out `mode: batch`)")
            raise _error(batch, error) from error
        except ChatError as error:
            raise _error(batch, error) from error
        replace(batch, batch=state.id).write(self._store)

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
            raise _error(batch, error) from error

    def _step(self, batch: OpenBatch, api: BatchAPI, found: Look, cancel: bool) -> str | None:
        size = f"{len(batch.keys):,} requests"
        if batch.batch is None:
            state = api.find(batch.id, batch.at)
            if state is None:
                if time.time() - batch.at < self._settings.batch_seconds:
                    return f"a batch of {size} is being submitted"
                # Its submitter died before the provider knew of it.
                self._store.delete([batch.name])
                return None
            batch = replace(batch, batch=state.id)
            batch.write(self._store)
        else:
            state = _retrieve(api, batch.batch)
        if cancel and not batch.cancelled:
            batch = replace(batch, cancelled=True)
            batch.write(self._store)
        if not state.ended:
            if cancel and state.status != "cancelling":
                api.cancel(state.id)
            return f"batch {state.id} of {size} is {state.status} ({state.done:,} done)"
        failed = self._collect(batch, api, state)
        self._store.delete([batch.name])
        if state.full:
            return f"batch {state.id} of {size} was not taken: {state.words}"
        found.failed |= failed
        return None

    def _collect(self, batch: OpenBatch, api: BatchAPI, state: BatchState) -> dict[str, Failure]:
        """Take the answers into the ledger; returns the requests that have none, unless we cancelled them."""
        scope, price = Scope.of(batch.identity), Endpoint.from_options(batch.options).price
        bounds = dict(zip(batch.keys, batch.bounds, strict=False))
        failed = {key: Failure(state.words or f"the batch is {state.status}") for key in batch.keys}
        for key in self._ledger.lookup(batch.keys):
            del failed[key]
        for key, row in api.results(state):
            if key not in failed:
                continue
            if isinstance(row, Answer):
                usd = _usd(price, row) if row.says_usage else bounds.get(key)
                entry = Entry(key, row, usd, batch.experiment, batch.stage, time.time())
                self._ledger.append(scope, entry)
                del failed[key]
            else:
                failed[key] = row
        self._ledger.flush()
        return {} if batch.cancelled else failed

    def _claim(self, id: str, check: Callable[[], None]) -> set[str]:
        return self._ledger.claims.claim([f"batch/{id}"], check)

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


def _usd(price: Price | None, answer: Answer) -> float | None:
    if price is None or answer.input_tokens is None or answer.output_tokens is None:
        return None
    return price.batch * price.usd(answer.input_tokens, answer.output_tokens, answer.cached_input_tokens or 0)


def _bound(endpoint: Endpoint, request: ChatRequest) -> float:
    """What a request of a batch costs at most, in dollars; of an endpoint with a price."""
    assert endpoint.price is not None
    return endpoint.price.batch * bound_of(request, endpoint.price, endpoint.max_tokens) / NANO


def _error(batch: OpenBatch, error: ChatError) -> Outage | PermanentError:
    field = ".".join(part for part in ("models", batch.options["name"], error.field) if part)
    return PermanentError(f"{field}: {error}") if isinstance(error, Refused) else Outage(f"{field}: {error}")
