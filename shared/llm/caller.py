"""Asking an endpoint for answers: the ledger first, then claims, then requests for what nobody has asked."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from shared.budget import NANO
from shared.errors import Later, PermanentError, StageError
from shared.llm.batch_submit import Submission
from shared.llm.batches import Failure
from shared.llm.chat import Answer, ChatRequest, request_key
from shared.llm.endpoints import Endpoint
from shared.llm.entries import Entry, Scope
from shared.llm.outcomes import Accept, due
from shared.llm.purse import Purse, bound_of
from shared.llm.pursefile import Owner
from shared.llm.sending import Sending
from shared.llm.session import Session

POLL = 0.25
ADVANCED_EVERY = 5.0


class Watch(Protocol):
    """What the caller reports to and asks while it works: a `StageContext` is one."""

    @property
    def held(self) -> bool:
        """Whether a paid request may be sent at this moment."""

    @property
    def budget(self) -> str | None:
        """The kind of stage whose budget pays; None where nothing bounds what may be spent."""

    def check(self) -> None:
        """Raise if the work must end."""

    def progress(self, done: int, total: int, note: str | None = None) -> None:
        """Say how far it is, and what keeps it waiting."""

    def advanced(self) -> None:
        """Say that answers became durable."""


@dataclass(frozen=True)
class Origin:
    """Who asks, and so bears the cost of what nobody asked before."""

    experiment: str
    stage: str


@dataclass(frozen=True)
class Answers:
    """Entries in the order of the requests, and how many were sent now.

    Where the model's `reask` says so, an entry is the last of several: `earlier` has the others, `reasked` counts them
    by why they would not do.
    """

    entries: list[Entry]
    sent: int
    earlier: list[Entry] = field(default_factory=list)
    reasked: Mapping[str, int] = field(default_factory=dict)

    @property
    def distinct(self) -> list[Entry]:
        """Every entry that was paid for, earlier ones too; equal requests count once."""
        return list({entry.key: entry for entry in [*self.entries, *self.earlier]}.values())

    def usd(self, origin: Origin | None = None) -> float:
        """What the answers cost in dollars; with an origin, that one's share alone."""
        own = (entry for entry in self.distinct if origin in (None, Origin(entry.experiment, entry.stage)))
        return sum(entry.usd or 0.0 for entry in own)


def answer_all(
    requests: Sequence[ChatRequest],
    identity: Mapping[str, Any],
    endpoint: Endpoint,
    session: Session,
    watch: Watch,
    origin: Origin,
    label: Callable[[int], str] = str,
    accept: Accept | None = None,
) -> Answers:
    """The answers to `requests`; what the ledger has is not asked again. `label` names a request by its index.

    `accept` says which answers will not do although nothing seems wrong with them; the identity's `reask`, what is
    asked again.

    Raises:
        BadInput: the endpoint's credential may not be read.
        PermanentError: the endpoint refused a request.
        BudgetSpent: the experiment's budget has no money for another request.
        Outage: endpoint, store, Redis or local disk are away or full; answers that came in stay in the ledger.
        Later: what is left is in batches at the provider, which are not done, or waits for them.
        StageError: a whole batch failed; tried again, its requests are submitted anew.
        Stopped: `watch.check` said so.
    """
    limits: Mapping[str, int] = identity.get("reask", {})
    call = _Call(identity, endpoint, session, watch, origin, label)
    entries = call.ask(dict(enumerate(requests)))
    earlier: dict[str, tuple[str, Entry]] = {}
    for retry in range(1, max(limits.values(), default=0) + 1):
        again = due([entries[index].answer for index in range(len(requests))], limits, retry, accept)
        if not again:
            break
        earlier |= {entries[index].key: (why, entries[index]) for index, why in again.items()}
        entries |= call.ask({index: replace(requests[index], retry=retry) for index in again})
    return Answers(
        [entries[index] for index in range(len(requests))],
        call.sent,
        [entry for _, entry in earlier.values()],
        Counter(why for why, _ in earlier.values()),
    )


class _Call:
    """One call of `answer_all`."""

    def __init__(
        self,
        identity: Mapping[str, Any],
        endpoint: Endpoint,
        session: Session,
        watch: Watch,
        origin: Origin,
        label: Callable[[int], str],
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
        self._place: dict[str, int] = {}
        self._asked_before = 0
        self._kept: set[str] = set()
        self._advanced = 0.0

    def ask(self, requests: Mapping[int, ChatRequest]) -> dict[int, Entry]:
        """The answers to requests, by the same indices."""
        keys = {index: request_key(self._identity, request) for index, request in requests.items()}
        self._place = {}
        for index, key in keys.items():
            self._place.setdefault(key, index)
        found = self._answers({key: requests[index] for key, index in self._place.items()})
        self._asked_before += len(found)
        return {index: found[key] for index, key in keys.items()}

    def _answers(self, wanted: Mapping[str, ChatRequest]) -> dict[str, Entry]:
        found = self._ledger.lookup(wanted)
        failed: list[str] = []
        while missing := [key for key in wanted if key not in found]:
            self._watch.check()
            self._progress(len(found), len(wanted))
            won = self._ledger.claims.claim(missing, self._watch.check)
            try:
                # Whoever had a claim gave it back after the upload: only a look from now on is sure to see the answer;
                # and a batch is closed after the upload of its answers: what it held is there if it is gone.
                batches = self._session.batches.look(self._scope, missing, self._origin.stage, self._watch.check)
                found |= self._ledger.look(self._scope, missing)
                failed += self._refuse({key: batches.failed[key] for key in missing if key in batches.failed})
                todo = {key: wanted[key] for key in missing if key in won - batches.held and key not in found}
                if todo and self._endpoint.batch:
                    if waiting := self._submit(todo):
                        raise self._later([*failed, *batches.words, waiting])
                elif todo:
                    self._send(todo, found, len(wanted))
            finally:
                # The claims of new answers are given back when those are uploaded.
                self._ledger.claims.release(won - self._kept)
            left = {key for key in missing if key not in found}
            if left and left <= batches.held:
                raise self._later([*failed, *batches.words])
            if not won and left:
                time.sleep(POLL)
        self._ledger.flush()
        self._ledger.tidy(self._scope)
        self._progress(len(wanted), len(wanted))
        return found

    def _progress(self, done: int, total: int, note: str | None = None) -> None:
        self._watch.progress(self._asked_before + done, self._asked_before + total, note)

    def _later(self, words: Sequence[str]) -> Later:
        seconds = self._session.settings.batch_seconds
        return Later(f"{'; '.join(words)}; looked at again in {seconds:g} s", seconds)

    def _submit(self, todo: Mapping[str, ChatRequest]) -> str | None:
        """Submit requests whose claims are ours as batches, which hold them from then on; returns why some wait."""

        def ready() -> None:
            while not self._watch.held:
                self._watch.check()
                time.sleep(POLL / 2)
            self._watch.check()

        origin = (self._origin.experiment, self._origin.stage)
        given = Submission(todo, self._identity, self._endpoint, origin, self._watch.budget)
        return self._session.batches.submit(given, ready)

    def _refuse(self, failed: Mapping[str, Failure]) -> list[str]:
        """Say that requests of a batch failed: in words, where they alone are to be submitted anew.

        Raises:
            PermanentError: one of them would fail again.
            StageError: all of the batch failed.
        """
        if not failed:
            return []
        key, failure = min(failed.items(), key=lambda item: (not item[1].permanent, not item[1].whole))
        said = f"models.{self._endpoint.name}: {failure.words} ({self._label(self._place[key])}"
        if failure.permanent:
            raise PermanentError(f"{said})")
        said += f"; {len(failed):,} of a batch's requests failed"
        if failure.whole:
            raise StageError(f"{said})")
        return [f"{said} and are asked again)"]

    def _send(self, todo: Mapping[str, ChatRequest], found: dict[str, Entry], total: int) -> None:
        """Send requests whose claims are ours, adding to `found`; report and look after the watch meanwhile."""
        holder: list[Sending] = []
        purses: list[Purse] = []

        async def send() -> None:
            connection = await self._session.connection(self._identity, self._endpoint)
            purse = self._open_purse(connection.limiter.concurrency)
            if purse is not None:
                purses.append(purse)
                purse.expect(todo.values())
            holder.append(
                Sending(
                    connection,
                    todo,
                    keep=lambda key, answer: self._keep(found, key, todo[key], answer),
                    ready=lambda: self._watch.held,
                    mine=self._ledger.claims.holds,
                    label=lambda key: self._label(self._place[key]),
                    tenant=self._origin.experiment,
                    purse=purse,
                )
            )
            await holder[0].run()

        future, reported = self._session.start(send()), 0
        try:
            while not future.done():
                wait([future], timeout=POLL / 2)
                try:
                    self._watch.check()
                    self._progress(len(found), total, holder[0].waits_for() if holder else None)
                    if holder and holder[0].answered > reported and time.monotonic() - self._advanced > ADVANCED_EVERY:
                        self._advanced, reported = time.monotonic(), holder[0].answered
                        self._watch.advanced()
                except Exception as reason:  # raised below, after what is in flight has come in
                    if holder:
                        self._session.call_soon(holder[0].stop, reason)
            self.sent += holder[0].answered if holder else 0
            future.result()
        finally:
            # What comes next may be a wait for another's claims; and that one may wait for this money.
            for purse in purses:
                self._session.purses.close(purse)

    def _open_purse(self, concurrency: int) -> Purse | None:
        """Money for what is sent now; None where nothing bounds what may be spent."""
        if not self._watch.budget:
            return None
        owner = Owner(self._origin.experiment, self._watch.budget, self._origin.stage)
        return self._session.purses.open(owner, self._endpoint, concurrency)

    def _keep(self, found: dict[str, Entry], key: str, request: ChatRequest, answer: Answer) -> None:
        usd = self._usd(request, answer)
        entry = Entry(key, answer, usd, self._origin.experiment, self._origin.stage, time.time())
        self._ledger.append(self._scope, entry)
        self._kept.add(key)
        found[key] = entry

    def _usd(self, request: ChatRequest, answer: Answer) -> float | None:
        price = self._endpoint.price
        if price is None:
            return None
        # Without usage as the budget counts it: what it cost is not known, and nothing would be a lie.
        usd = price.of(answer)
        return bound_of(request, price, self._endpoint.max_tokens) / NANO if usd is None else usd
