"""/healthz, /readyz and /metrics: is it alive, can it do its work, and what has it done."""

from __future__ import annotations

import redis
from fastapi import APIRouter, Depends
from fastapi.responses import PlainTextResponse
from prometheus_client import generate_latest

from services.api.deps import Redis, StateDep, Store, caller
from services.api.problems import RETRY_AFTER, Problem, responses
from services.api.schemas import Health
from shared.errors import FieldError, Outage

router = APIRouter(tags=["health"])

# The conductor sets it at each turn of its loop, to expire.
HEARTBEAT = "conductor:heartbeat"


@router.get("/healthz")
def healthz() -> Health:
    """The process answers. Says nothing of Redis or the store."""
    return Health(status="ok")


@router.get("/readyz", responses=responses(503))
def readyz(store: Store, client: Redis) -> Health:
    """Redis and the store can be reached, and the conductor is at work."""
    errors = []
    try:
        if not client.exists(HEARTBEAT):
            errors.append(FieldError("conductor", "has not been heard of for 10 s", "Start services.conductor."))
    except redis.RedisError as error:
        errors.append(FieldError("redis", f"cannot be reached: {error}", "Check TOUCHSTONE_REDIS_URL."))
    try:
        store.exists("readyz")
    except Outage as error:
        errors.append(FieldError("store", str(error), "Check TOUCHSTONE_S3_ENDPOINT and its keys."))
    if errors:
        raise Problem(503, "; ".join(map(str, errors)), errors, {"Retry-After": RETRY_AFTER})
    return Health(status="ready", checks={"redis": "ok", "store": "ok", "conductor": "ok"})


@router.get("/metrics", response_class=PlainTextResponse, dependencies=[Depends(caller)], responses=responses(401))
def metrics(state: StateDep) -> PlainTextResponse:
    """Metrics in Prometheus's text format."""
    return PlainTextResponse(generate_latest(state.metrics.registry), media_type="text/plain; version=0.0.4")
