"""/v1/experiments: create, look at, cancel and resume experiments, and try out what a spec would do."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from services.api.deps import (
    Caller,
    Cursor,
    IdempotencyKey,
    Limit,
    ListingDep,
    Redis,
    SettingsDep,
    SpecBodyDep,
    Store,
    Summary,
    caller,
)
from services.api.estimate import estimate, warnings_of
from services.api.idempotency import already_created, keyed_id, one_at_a_time
from services.api.listing import matching
from services.api.openapi import SPEC_BODY
from services.api.paging import page_of
from services.api.problems import Problem, responses
from services.api.schemas import Created, Experiment, ExperimentList, ExperimentState, Plan, Resume, Submitted
from shared import experiments as stored
from shared.bandit import is_bandit
from shared.budget import NANO, counted, dollars, grants_folder, nano, read_accounts
from shared.errors import BadInput
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, resolve_any
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
) -> Submitted:
    """Start an experiment. It is stored before the answer is sent, and goes on whatever happens to the API."""
    # Nothing may be half done because Redis was away: ask it before the store is written to.
    client.ping()
    id = keyed_id(idempotency_key, who)
    if idempotency_key is None:
        summary = stored.create(store, client, resolved_spec(body.data, store, settings), body.text, id)
    else:
        with one_at_a_time(client, id):
            summary = already_created(store, client, id, body.text) or stored.create(
                store, client, resolved_spec(body.data, store, settings), body.text, id
            )
    response.headers["Location"] = f"/v1/experiments/{id}"
    warnings = [] if is_bandit(body.data) else warnings_of(parse_spec(body.data))
    return Submitted(id=id, name=summary["name"], state=summary["state"], warnings=warnings)


@router.get("", responses=responses(422))
def list_experiments(
    listing: ListingDep,
    limit: Limit = 50,
    cursor: Cursor = "",
    text: Annotated[str, Query(max_length=200, description="words that the name or the id has")] = "",
    state: ExperimentState | None = None,
) -> ExperimentList:
    """Experiments without their stages, newest first."""
    items, more = page_of(matching(listing.rows(), text, state or ""), cursor, limit)
    return ExperimentList.model_validate({"items": items, "next_cursor": more})


@router.post("/plan", openapi_extra=SPEC_BODY, responses=responses(413, 422))
def plan_experiment(body: SpecBodyDep, store: Store, settings: SettingsDep) -> Plan:
    """What an experiment would do, without doing it: stages, those committed already, requests, tokens, dollars."""
    return Plan.model_validate(estimate(resolve_any(body.data, store, settings), store, settings))


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


@router.post("/{id}/resume", responses=responses(404, 409, 422))
def resume_experiment(summary: Summary, store: Store, client: Redis, more: Resume | None = None) -> Created:
    """Go on with a cancelled experiment, try failed stages again, and go on where the budget was spent, with a higher
    one. Of one that runs nothing changes but the budget."""
    id = summary["id"]
    control = stored.read_control(store, id)
    if summary["state"] == "succeeded":
        raise Problem(409, f"experiment {id} has succeeded: there is nothing to resume")
    given = more is not None and (more.budget_usd is not None or more.stage_budgets_usd)
    raised = _raised(id, more, control, store) if more is not None and given else {}
    if summary["state"] == "paused" and not raised:
        fix = f"touchstone resume {id} --budget N, or --stage-budget KIND=N where its stages say so"
        raise BadInput("budget_usd", "the budget is spent", f"Give a higher one: {fix}")
    if control.cancelled or control.failures or raised:
        stored.write_control(store, client, id, "resume", control.generation, **raised)
        # Whoever asks before the conductor has looked must not be told that it has ended.
        running = {**summary, "state": "running"}
        stored.write_summary(client, running)
        stored.add_event(client, id, "update", {**running, "stages": []})
    return Created(id=id, name=summary["name"], state="running")


def _raised(id: str, more: Resume, control: stored.Control, store: ObjectStore) -> dict[str, Any]:
    """What a resume adds to the budget, as its record keeps it. A budget never falls: what is promised may be spent."""
    resolved = stored.read_resolved(store, id)
    spec = None if resolved is None else resolved.bounded
    now = None if spec is None else control.raised(spec)
    if now is None:
        raise BadInput("budget_usd", "this experiment has no budget to raise", "Leave it out.")
    accounts = read_accounts(info.name for info in store.list(grants_folder(id)))
    if more.budget_usd is not None:
        _check_raise("budget_usd", more.budget_usd, now.total, counted(accounts.values()))
    for kind, usd in more.stage_budgets_usd.items():
        spent = counted(accounts.values(), kind)
        _check_raise(f"stage_budgets_usd.{kind}", usd, now.kinds.get(kind), spent)
    given = more.model_dump(exclude_none=True, exclude_defaults=True)
    same = (more.budget_usd is None or nano(more.budget_usd) == now.total) and all(
        nano(usd) == now.kinds[kind] for kind, usd in more.stage_budgets_usd.items()
    )
    return {} if same else given


def _check_raise(field: str, usd: float, now: int | None, spent: int) -> None:
    if now is None:
        raise BadInput(field, "this experiment has no such budget to raise", "Leave it out.")
    if nano(usd) < now:
        raise BadInput(
            field,
            f"{dollars(nano(usd))} is less than the budget of {dollars(now)}, of which {dollars(spent)} are spent or "
            "promised to workers",
            f"Write more than {now / NANO:g}, or cancel the experiment to stop it from spending.",
        )


def resolved_spec(data: Any, store: ObjectStore, settings: Settings) -> Resolved:
    """The spec, checked and pinned, and planned once: what cannot be planned must not be started.

    Raises:
        BadInput: the spec is wrong, or something in it is only declared.
    """
    resolved = resolve_any(data, store, settings, whole=True)
    plan(resolved)
    return resolved
