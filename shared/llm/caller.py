"""Asking an endpoint for answers: the ledger first, then claims, then requests for what nobody has asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from typing import Any, Protocol

from shared.llm.chat import Answer, ChatRequest, request_key
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Entry, Scope
from shared.llm.sending import Sending
from shared.llm.session import Session

POLL = 0.25
ADVANCED_EVERY = 5.0


class Watch(Protocol):
    """What the caller reports to and asks while it works: a `StageContext` is one."""

    @property
    def held(self) -> bool:
        """Whether a paid request may be sent at this moment."""

    def check(self) -> None:
        """Raise if the work must end."""

    def progress(self, done: int, total: int) -> None:
        """Say how far it is."""

    def advanced(self) -> None:
        """Say that answers became durable."""


@dataclass(frozen=True)
class Origin:
    """Who asks, and so bears the cost of what nobody asked before."""

    experiment: str
    stage: str


@dataclass(frozen=True)
class Answers:
    """Entries in the order of the requests, and how many of them were sent now."""

    entries: list[Entry]
    sent: int

    def usd(self, origin: Origin | None = None) -> float:
        """What the answers cost in dollars; with an origin, that one's share alone. Equal requests count once."""
        distinct = {entry.key: entry for entry in self.entries}.values()
        own = (entry for entry in distinct if origin in (None, Origin(entry.experiment, entry.stage)))
        return sum(entry.usd or 0.0 for entry in own)


def answer_all(
    requests: Sequence[ChatRequest],
    identity: Mapping[str, Any],
    endpoint: Endpoint,
    session: Session,
    watch: Watch,
    origin: Origin,
    label: Callable[[int], str] = str,
) -> Answers:
    """The answers to `requests`; what the ledger has is not asked again. `label` names a request by its index.

    Raises:
        BadInput: the endpoint's credential may not be read.
        PermanentError: the endpoint refused a request.
        Outage: endpoint, store, Redis or local disk are away or full; answers that came in stay in the ledger.
        Stopped: `watch.check` said so.
    """
    keys = [request_key(identity, request) for request in requests]
    place: dict[str, int] = {}
    for index, key in enumerate(keys):
        place.setdefault(key, index)
    call = _Call(identity, endpoint, session, watch, origin, lambda key: label(place[key]))
    found = call.answers({key: requests[index] for key, index in place.items()})
    return Answers([found[key] for key in keys], call.sent)


class _Call:
    """One call of `answer_all`."""

    def __init__(
        self,
        identity: Mapping[str, Any],
        endpoint: Endpoint,
        session: Session,
        watch: Watch,
        origin: Origin,
        label: Callable[[str], str],
    ) -> None:
        self.sent = 0
        self._identity = identity
        self._endpoint = endpoint
        self._session = session
        self._ledger = session.ledger
        self._scope = Scope.of(identity)
        self._watch = watch
        self._origin = origin
        self._label = label
        self._kept: set[str] = set()
        self._advanced = 0.0

    def answers(self, wanted: Mapping[str, ChatRequest]) -> dict[str, Entry]:
        found = self._ledger.lookup(wanted)
        while missing := [key for key in wanted if key not in found]:
            self._watch.check()
            self._watch.progress(len(found), len(wanted))
            won = self._ledger.claims.claim(missing, self._watch.check)
            try:
                # Whoever had a claim gave it back after the upload: only a look from now on is sure to see the answer.
                self._ledger.refresh(self._scope)
                found |= self._ledger.lookup(missing)
                todo = {key: wanted[key] for key in missing if key in won and key not in found}
                if todo:
                    self._send(todo, found, len(wanted))
            finally:
                # The claims of new answers are given back when those are uploaded.
                self._ledger.claims.release(won - self._kept)
            if not won and any(key not in found for key in missing):
                time.sleep(POLL)
        self._ledger.flush()
        self._watch.progress(len(wanted), len(wanted))
        return found

    def _send(self, todo: Mapping[str, ChatRequest], found: dict[str, Entry], total: int) -> None:
        """Send requests whose claims are ours, adding to `found`; report and look after the watch meanwhile."""
        holder: list[Sending] = []

        async def send() -> None:
            connection = await self._session.connection(self._identity, self._endpoint)
            holder.append(
                Sending(
                    connection,
                    todo,
                    keep=lambda key, answer: self._keep(found, key, answer),
                    ready=lambda: self._watch.held,
                    mine=self._ledger.claims.holds,
                    label=self._label,
                )
            )
            await holder[0].run()

        future, reported = self._session.start(send()), 0
        while not future.done():
            wait([future], timeout=POLL / 2)
            try:
                self._watch.check()
                self._watch.progress(len(found), total)
                if holder and holder[0].answered > reported and time.monotonic() - self._advanced > ADVANCED_EVERY:
                    self._advanced, reported = time.monotonic(), holder[0].answered
                    self._watch.advanced()
            except Exception as reason:  # raised below, after what is in flight has come in
                if holder:
                    self._session.call_soon(holder[0].stop, reason)
        self.sent += holder[0].answered if holder else 0
        future.result()

    def _keep(self, found: dict[str, Entry], key: str, answer: Answer) -> None:
        entry = Entry(key, answer, self._usd(answer), self._origin.experiment, self._origin.stage, time.time())
        self._ledger.append(self._scope, entry)
        self._kept.add(key)
        found[key] = entry

    def _usd(self, answer: Answer) -> float | None:
        price = self._endpoint.price
        if price is None or answer.input_tokens is None or answer.output_tokens is None:
            return None
        return price.usd(answer.input_tokens, answer.output_tokens)
