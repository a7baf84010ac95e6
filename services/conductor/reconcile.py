"""The conductor's loop: look at what is committed, queue what is ready, say what has changed. Level-triggered.

Nothing it knows is needed to go on: commits, control records and attempts' markers are in the store, the rest it hears
again. A signal (a commit, a new experiment) wakes it at once; without one it looks by itself every second.
"""

from __future__ import annotations

import time
import uuid
from typing import Any

import kombu.exceptions
import redis
import structlog
from celery import Celery

from services.conductor.board import EPOCH, Board
from services.conductor.commits import Commits
from services.conductor.dispatch import Dispatcher
from services.conductor.experiment import Experiment, load
from services.conductor.open_batches import OpenBatches
from services.conductor.partial import ask_partial_report
from services.conductor.summary import delta, stage_states, summarise
from services.conductor.treasury import Treasury
from services.conductor.turns import WORDS, Turns
from shared import signals
from shared.budget import Ask
from shared.canonical import canonical_json
from shared.context import stop_name
from shared.errors import Outage
from shared.experiments import PREFIX, add_event, experiment_ids, read_control, write_control, write_summary
from shared.settings import Settings
from shared.store import ObjectStore
from shared.units import Unit

log = structlog.get_logger()

HEARTBEAT = "conductor:heartbeat"
IDLE_MS = 500
UNWANTED = "no running experiment needs this stage any more"
LOOK_EVERY = 1.0
PUBLISH_EVERY = 0.25


class Conductor:
    """One conductor. A second one does no harm: leases, marks and commits keep their work from being done twice."""

    def __init__(self, settings: Settings, store: ObjectStore, client: redis.Redis, app: Celery) -> None:
        self.settings = settings
        self.store = store
        self.redis = client
        self.app = app
        self.commits = Commits(store)
        self.board = Board()
        self.experiments: dict[str, Experiment] = {}
        self.treasury = Treasury(store, client)
        self.dispatcher = Dispatcher(settings, store, client, app, self.board)
        self.turns = Turns()
        self.batches = OpenBatches(store, client, app)
        self._epoch: bytes | None = None
        self._broker_away = False
        self._cursor = ""
        self._listed = -1e9
        self._looked = 0.0
        self._published = 0.0
        self._dirty = True
        self._finals: set[str] = set()

    def run(self) -> None:
        """Loop for ever; an outage of store or broker is waited out."""
        while True:
            try:
                self.step()
            except (Outage, redis.RedisError, kombu.exceptions.OperationalError) as outage:
                log.warning("conductor.outage", error=str(outage))
                self._broker_away |= not isinstance(outage, Outage)
                self._dirty = True
                time.sleep(0.5)

    def step(self) -> None:
        """Wait for a signal or a moment, then do whatever is due."""
        self._check_epoch()
        self.redis.set(HEARTBEAT, 1, px=10_000)
        self._listen()
        self._dirty |= self.treasury.answer({id: one.budget for id, one in self.experiments.items()})
        now = time.monotonic()
        if now - self._listed > self.settings.relist_seconds:
            try:
                self._relist()
            except Outage:
                # What the store has no part in is said: that stages wait for it.
                self._publish()
                raise
        if self._dirty or now - self._looked > LOOK_EVERY:
            self._dirty = False
            self.reconcile()
        elif now - self._published > PUBLISH_EVERY:
            self._publish()

    def reconcile(self) -> None:
        """Derive every experiment's state from the commits, queue what is ready, give up what failed."""
        self._looked = time.monotonic()
        units: dict[str, Unit] = {}
        unpaid: set[str] = set()
        unpaid_keys: set[str] = set()
        for experiment in sorted(self.experiments.values(), key=lambda one: str(one.head["created"])):
            experiment.derive(self.commits, self.settings.shard_rows)
            self.treasury.refresh(experiment.id, experiment.budget, self.settings.relist_seconds)
            blocked = self._blocked(experiment)
            for need in experiment.wanted():
                if need.stage.key in blocked:
                    # Another experiment with money may go on with it; who works on it now may end it without any.
                    unpaid.update(unit.commit_key for unit in need.units)
                    unpaid_keys.add(need.stage.key)
                    continue
                for unit in need.units:
                    units.setdefault(unit.commit_key, unit)
        needed = [need for one in self.experiments.values() for need in one.needed.values()]
        watched = {unit.commit_key for need in needed for unit in need.units}
        self.board.keep(watched)
        if not self.board.refresh(self.redis, watched, self._epoch):
            self._dirty = True
            return
        self._stop_unwanted(watched - set(units) - unpaid)
        self.batches.cancel_unwanted({unit.key for unit in units.values()} | unpaid_keys)
        for unit, error in self.dispatcher.dispatch(units.values()):
            self._give_up(unit, error)
        for unit in self.turns.to_end(units.values(), self.board, self.dispatcher.depth):
            log.info("unit.makes_room", kind=unit.kind, key=unit.key[:12], experiment=unit.experiment)
            self.redis.set(stop_name(unit.commit_key), WORDS, px=10_000)
        # Whoever has just been started gets a moment to come.
        self.board.look_for_workers(self.redis, units.values(), self.settings.lease_seconds)
        self.board.cold = False
        self._publish()

    def _check_epoch(self) -> None:
        """Notice that Redis was wiped (its epoch is gone) or away (leases may have run out unrenewed).

        At its own start the conductor knows of neither, and takes both for possible.
        """
        epoch = self.redis.get(EPOCH)
        if epoch is None:
            self.redis.set(EPOCH, uuid.uuid4().hex, nx=True)
            epoch = self.redis.get(EPOCH)
        if epoch != self._epoch or self._broker_away:
            self.board.broker_lost(self.settings.lease_seconds)
            self._broker_away = False
        if epoch != self._epoch:
            log.info("conductor.epoch", known=self._epoch is not None)
            self._cursor = "" if self._epoch is None else "0"
            self._epoch = epoch
            self._listed = -1e9
            for experiment in self.experiments.values():
                experiment.summary = None

    def _listen(self) -> None:
        """Take in signals, waiting a moment for the first."""
        wait = 1 if self._dirty else IDLE_MS
        if not self._cursor:
            last = self.redis.xrevrange(signals.STREAM, count=1)
            self._cursor = last[0][0].decode() if last else "0"
        for _, entries in self.redis.xread({signals.STREAM: self._cursor}, block=wait, count=5000) or []:
            for cursor, fields in entries:
                self._cursor = cursor.decode()
                type, data = signals.decode(fields)
                self._hear(type, data)

    def _hear(self, type: str, data: dict[str, Any]) -> None:
        if type == "control":
            self._control(data["experiment"])
            if data.get("verb") == "cancel":
                self._relist_experiments()
            return
        if type == "purse":
            self.treasury.hear(Ask(**data))
            return
        seen = self.board[data["unit"]]
        if type == "progress":
            seen.done, seen.total, seen.reason = data["done"], data["total"], data.get("note")
        elif type == "metrics":
            self._forward_metrics(data)
        elif type == "commit":
            self._dirty |= self.commits.look(data["unit"])
        else:
            self._dirty = True
            seen.attempted = True
            if type == "waiting":
                wait = data.get("retry_after") or self.settings.retry_seconds
                seen.reason, seen.not_before = data["reason"], time.monotonic() + wait
            elif type == "started":
                seen.queued_at, seen.done, seen.total, seen.reason = None, 0, 0, None
                seen.where = data.get("worker")

    def _control(self, id: str) -> None:
        """An experiment was created, cancelled or resumed."""
        self._dirty = True
        if id in self.experiments:
            self.experiments[id].control = read_control(self.store, id)
            for need in self.experiments[id].needed.values():
                for unit in need.units:
                    self.redis.delete(stop_name(unit.commit_key))
        elif experiment := load(self.store, id):
            self.experiments[id] = experiment

    def _relist(self) -> None:
        """List the store anew, for what was not heard of."""
        self._dirty |= self.commits.relist()
        self._relist_experiments()
        self._listed = time.monotonic()

    def _relist_experiments(self) -> None:
        """List batches, then experiments, so that each batch's experiment is known."""
        self.batches.relist()
        for id in experiment_ids(self.store):
            if id in self.experiments:
                self.experiments[id].control = read_control(self.store, id)
            elif id not in self._finals:
                if experiment := load(self.store, id):
                    self.experiments[id] = experiment
                    self._dirty = True
                else:
                    self._finals.add(id)

    def _stop_unwanted(self, unwanted: set[str]) -> None:
        """Ask the holders of units that no running experiment needs to stop."""
        for commit_key in unwanted:
            if self.board[commit_key].leased:
                self.redis.set(stop_name(commit_key), UNWANTED, px=10_000)

    def _give_up(self, unit: Unit, error: str) -> None:
        """Record a failure, for this experiment's generation alone."""
        log.warning("stage.failed", kind=unit.kind, key=unit.key, experiment=unit.experiment, error=error)
        experiment = self.experiments[unit.experiment]
        generation = experiment.control.generation
        write_control(self.store, self.redis, experiment.id, "failure", generation, key=unit.key, error=error)
        experiment.control = read_control(self.store, experiment.id)
        self._dirty = True

    def _publish(self) -> None:
        """Write the summaries that changed, and their events."""
        self._published = time.monotonic()
        for experiment in list(self.experiments.values()):
            if experiment.accepted is None:
                continue
            blocked = self._blocked(experiment)
            rows = stage_states(
                experiment.plan,
                experiment.accepted,
                experiment.needed,
                self.board,
                experiment.control,
                experiment.head,
                blocked,
            )
            report = experiment.accepted.manifests.get(experiment.plan.report)
            if report is not None:
                self.treasury.refresh(experiment.id, experiment.budget, 0)
            summary = summarise(experiment.head, rows, experiment.control.cancelled, report, blocked)
            if money := self.treasury.summary(experiment.id, experiment.budget):
                summary["budget"] = money
            change = delta(experiment.summary, summary)
            if change is not None:
                write_summary(self.redis, summary)
                add_event(self.redis, experiment.id, "update", change)
                experiment.summary = summary
            if summary["state"] == "succeeded":
                self.store.put(f"{PREFIX}{experiment.id}/final.json", canonical_json(summary))
                self._finals.add(experiment.id)
                self.treasury.forget(experiment.id)
                del self.experiments[experiment.id]
            elif not experiment.control.cancelled:
                ask_partial_report(self.app, self.redis, experiment)

    def _blocked(self, experiment: Experiment) -> dict[str, str]:
        """The stages that wait for a higher budget, with the reason."""
        found = self.treasury.blocked(experiment.id, experiment.budget)
        return {key: reason for key, reason in found.items() if key in experiment.needed}

    def _forward_metrics(self, data: dict[str, Any]) -> None:
        for experiment in self.experiments.values():
            if data["key"] in experiment.plan.stages:
                add_event(self.redis, experiment.id, "metrics", {"key": data["key"], "row": data["row"]})
