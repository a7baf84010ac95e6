"""Experiments in the store: the resolved spec, the control records, and the summary that the conductor keeps in Redis.

`experiments/<id>/` is write-once. Control records are `control/<generation>-<verb>-<uuid>`: the highest generation
counts, on a tie cancel wins. A failure is recorded under the generation in which it happened, so that `resume` (a new
generation) tries again.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import redis
from ulid import ULID

from shared import signals
from shared.budget import Budget
from shared.canonical import canonical_json, sha256_hex
from shared.spec.model import Spec
from shared.spec.resolve import Resolved
from shared.store import NotFound, ObjectStore

PREFIX = "experiments/"
Verb = Literal["cancel", "resume", "failure"]
CONTROL = re.compile(r"control/(\d{6})-(cancel|resume|failure)-[0-9a-f]+\.json$")
EVENTS_KEPT = 2000
LIST = "experiments"
LIST_VERSION = "experiments:version"


@dataclass(frozen=True)
class Control:
    """What the control records of an experiment add up to."""

    generation: int = 0
    cancelled: bool = False
    failures: Mapping[str, str] | None = None
    """Error by stage key, of this generation."""
    budget_usd: float | None = None
    """The highest that any `resume` gave; None where none did."""
    stage_budgets_usd: Mapping[str, float] = field(default_factory=dict)

    def raised(self, spec: Spec) -> Budget | None:
        """The spec's budget, with what was added since. It only ever grows, so no reader can be too generous."""
        if spec.budget is None:
            return None
        total = spec.budget_usd if self.budget_usd is None else max(self.budget_usd, spec.budget_usd or 0.0)
        kinds: dict[str, float] = {
            kind: max(usd, self.stage_budgets_usd.get(kind, 0.0)) for kind, usd in spec.stage_budgets_usd.items()
        }
        return Budget.of(total, kinds)


def new_id(idempotency_key: str | None = None) -> str:
    """An id that sorts by time; from an Idempotency-Key always the same one."""
    if idempotency_key is None:
        return str(ULID()).lower()
    return f"idem-{sha256_hex(idempotency_key)[:22]}"


def create(store: ObjectStore, client: redis.Redis, resolved: Resolved, spec_text: str, id: str) -> dict[str, Any]:
    """Write a new experiment and its first summary; the conductor hears of it at once."""
    now = datetime.now(UTC).isoformat()
    head = {"schema": "touchstone/experiment/1", "id": id, "name": resolved.spec["name"], "created": now}
    store.put(f"{PREFIX}{id}/spec.txt", spec_text.encode())
    # In the order in which the person wrote it, which a canonical form would lose.
    store.put(f"{PREFIX}{id}/resolved.json", resolved.model_dump_json().encode())
    store.put(f"{PREFIX}{id}/experiment.json", canonical_json(head))
    summary = first_summary(head)
    write_summary(client, summary)
    signals.send(client, "control", experiment=id, verb="create")
    return summary


def first_summary(head: Mapping[str, Any]) -> dict[str, Any]:
    """The summary of an experiment that the conductor has not seen yet."""
    return {
        "id": head["id"],
        "name": head["name"],
        "state": "running",
        "created": head["created"],
        "finished": None,
        "stages": [],
        "counts": {},
        "cost_usd": 0.0,
    }


def write_summary(client: redis.Redis, summary: Mapping[str, Any]) -> None:
    """Write a summary, and its row in the list of all, whose version tells readers that something changed."""
    with client.pipeline(transaction=False) as pipe:
        pipe.set(f"experiment:{summary['id']}", json.dumps(summary))
        pipe.hset(LIST, summary["id"], json.dumps(listed(summary)))
        # No counter: after a wiped Redis it would come by an old number again.
        pipe.set(LIST_VERSION, uuid.uuid4().hex)
        pipe.execute()


def listed(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary as it stands in a list: without its stages."""
    return {name: value for name, value in summary.items() if name != "stages"}


def read_summary(client: redis.Redis, store: ObjectStore, id: str) -> dict[str, Any] | None:
    """An experiment's summary: Redis first; on a miss what its folder says; None where there is no such folder."""
    if data := client.get(f"experiment:{id}"):
        summary: dict[str, Any] = json.loads(data)
        return summary
    if (head := read_json(store, f"{PREFIX}{id}/experiment.json")) is None:
        return None
    final = read_json(store, f"{PREFIX}{id}/final.json")
    return final or first_summary(head)


def experiment_ids(store: ObjectStore) -> Iterator[str]:
    """The ids of all experiments in the store."""
    seen = set()
    for info in store.list(PREFIX):
        id, _, name = info.name.removeprefix(PREFIX).partition("/")
        if name == "experiment.json" and id not in seen:
            seen.add(id)
            yield id


def read_resolved(store: ObjectStore, id: str) -> Resolved | None:
    data = read_json(store, f"{PREFIX}{id}/resolved.json")
    return None if data is None else Resolved.model_validate(data)


def read_control(store: ObjectStore, id: str) -> Control:
    """What the control records say now."""
    return fold_control(store, [info.name for info in store.list(f"{PREFIX}{id}/control/")])


def fold_control(store: ObjectStore, names: Iterable[str]) -> Control:
    """The state that control records add up to, in whatever order they are listed."""
    found = [(int(match[1]), match[2], name) for name in names if (match := CONTROL.search(name))]
    generation = max((number for number, _, _ in found), default=0)
    current = [(verb, name) for number, verb, name in found if number == generation]
    failures = [read_json(store, name) or {} for verb, name in current if verb == "failure"]
    resumes = [read_json(store, name) or {} for _, verb, name in found if verb == "resume"]
    return Control(
        generation=generation,
        cancelled=any(verb == "cancel" for verb, _ in current),
        failures={failure["key"]: failure["error"] for failure in failures if failure},
        budget_usd=max((usd for resume in resumes if (usd := resume.get("budget_usd")) is not None), default=None),
        stage_budgets_usd=_highest(resume.get("stage_budgets_usd") or {} for resume in resumes),
    )


def _highest(given: Iterable[Mapping[str, float]]) -> dict[str, float]:
    highest: dict[str, float] = {}
    for one in given:
        highest |= {name: max(value, highest.get(name, value)) for name, value in one.items()}
    return highest


def write_control(store: ObjectStore, client: redis.Redis, id: str, verb: Verb, generation: int, **fields: Any) -> None:
    """Add a control record. `cancel` and `failure` are of the current generation, `resume` is of the next."""
    at = generation + 1 if verb == "resume" else generation
    record = {"schema": "touchstone/control/1", "verb": verb, "at": datetime.now(UTC).isoformat(), **fields}
    store.put(f"{PREFIX}{id}/control/{at:06d}-{verb}-{uuid.uuid4().hex}.json", canonical_json(record))
    signals.send(client, "control", experiment=id, verb=verb)


def add_event(client: redis.Redis, id: str, event: str, data: Mapping[str, Any]) -> None:
    """Add to the experiment's own stream, which the API serves as Server-Sent Events."""
    client.xadd(f"events:{id}", {"event": event, "data": json.dumps(data)}, maxlen=EVENTS_KEPT, approximate=True)


def partial_report_name(id: str, file: str) -> str:
    """Where an unfinished experiment's newest report lies (`report.json`, `report.html`); overwritten as it grows."""
    return f"scratch/reports/{id}/{file}"


def read_json(store: ObjectStore, name: str) -> dict[str, Any] | None:
    """An object's JSON; None where there is no such object."""
    try:
        data: dict[str, Any] = json.loads(store.get(name))
    except NotFound:
        return None
    return data
