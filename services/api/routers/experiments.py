"""/v1/experiments: create, look at, cancel and resume experiments, and try out what a spec would do."""

from __future__ import annotations

import base64
import binascii
from typing import Any

from fastapi import APIRouter, Depends, Response
from fastapi.responses import JSONResponse

from services.api.committed import committed_keys
from services.api.deps import (
    Caller,
    Cursor,
    IdempotencyKey,
    Limit,
    Redis,
    SettingsDep,
    SpecBodyDep,
    Store,
    Summary,
    caller,
)
from services.api.idempotency import already_created, keyed_id, one_at_a_time
from services.api.openapi import SPEC_BODY
from services.api.problems import Problem, responses
from services.api.schemas import Created, Experiment, ExperimentList, Plan
from shared import experiments as stored
from shared.errors import BadInput
from shared.plan import plan
from shared.preview import preview
from shared.resolve import Resolved, resolve
from shared.settings import Settings
from shared.specparse import parse_spec
from shared.store import ObjectStore

router = APIRouter(
    prefix="/v1/experiments",
    tags=["experiments"],
    dependencies=[Depends(caller)],
    responses=responses(401, 403, 500, 503),
)


@router.post("", status_code=201, openapi_extra=SPEC_BODY, responses=responses(409, 413, 422))
def create_experiment(
    body: SpecBodyDep,
    store: Store,
    client: Redis,
    settings: SettingsDep,
    who: Caller,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Created:
    """Start an experiment. It is stored before the answer is sent, and goes on whatever happens to the API."""
    # Nothing may be half done because Redis was away: ask it before the store is written to.
    client.ping()
    id = keyed_id(idempotency_key, who)
    if idempotency_key is None:
        summary = stored.create(store, client, _resolved(body.data, store, settings), body.text, id)
    else:
        with one_at_a_time(client, id):
            summary = already_created(store, client, id, body.text) or stored.create(
                store, client, _resolved(body.data, store, settings), body.text, id
            )
    response.headers["Location"] = f"/v1/experiments/{id}"
    return Created(id=id, name=summary["name"], state=summary["state"])


@router.get("", responses=responses(422))
def list_experiments(store: Store, client: Redis, limit: Limit = 50, cursor: Cursor = "") -> ExperimentList:
    """Experiments without their stages, newest first."""
    found = stored.list_experiments(client, store)
    start = _after(found, cursor) if cursor else 0
    page = found[start : start + limit]
    items = [{key: value for key, value in summary.items() if key != "stages"} for summary in page]
    more = start + limit < len(found)
    return ExperimentList.model_validate({"items": items, "next_cursor": _cursor(page[-1]) if more else None})


@router.post("/plan", openapi_extra=SPEC_BODY, responses=responses(413, 422))
def plan_experiment(body: SpecBodyDep, store: Store, settings: SettingsDep) -> Plan:
    """What an experiment would do, without doing it: stages, those that are committed already, requests."""
    resolved = _resolved(body.data, store, settings)
    planned = plan(resolved)
    done = committed_keys(store, planned.stages)
    return Plan.model_validate(preview(str(resolved.spec["name"]), planned, resolved.counts, done))


@router.get("/{id}", response_model=Experiment, responses=responses(404))
def get_experiment(summary: Summary) -> JSONResponse:
    """An experiment with all of its stages."""
    return JSONResponse(summary)


@router.post("/{id}/cancel", responses=responses(404, 409))
def cancel_experiment(summary: Summary, store: Store, client: Redis) -> Created:
    """Stop an experiment. What is committed stays; `resume` goes on from there."""
    control = stored.read_control(store, summary["id"])
    if summary["state"] == "succeeded":
        raise Problem(409, f"experiment {summary['id']} has already succeeded")
    if not control.cancelled:
        stored.write_control(store, client, summary["id"], "cancel", control.generation)
    return Created(id=summary["id"], name=summary["name"], state="cancelled")


@router.post("/{id}/resume", responses=responses(404, 409))
def resume_experiment(summary: Summary, store: Store, client: Redis) -> Created:
    """Go on with a cancelled experiment, and try failed stages again. Of a running one nothing changes."""
    control = stored.read_control(store, summary["id"])
    if summary["state"] == "succeeded":
        raise Problem(409, f"experiment {summary['id']} has succeeded: there is nothing to resume")
    if control.cancelled or control.failures:
        stored.write_control(store, client, summary["id"], "resume", control.generation)
        # Whoever asks before the conductor has looked must not be told that it has ended.
        running = {**summary, "state": "running"}
        stored.write_summary(client, running)
        stored.add_event(client, summary["id"], "update", {**running, "stages": []})
    return Created(id=summary["id"], name=summary["name"], state="running")


def _resolved(data: Any, store: ObjectStore, settings: Settings) -> Resolved:
    """The spec, checked and pinned, and planned once: what cannot be planned must not be started."""
    resolved = resolve(parse_spec(data), store, settings)
    plan(resolved)
    return resolved


def _cursor(summary: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(f"{summary['created']}|{summary['id']}".encode()).decode()


def _after(found: list[dict[str, Any]], cursor: str) -> int:
    """The index of the first experiment after the one that a cursor names, also where that one is gone."""
    try:
        created, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
    except (binascii.Error, UnicodeError):
        raise BadInput("cursor", "is none that this server gave", "Use next_cursor, or leave it out.") from None
    return sum((summary["created"], summary["id"]) >= (created, id) for summary in found)
