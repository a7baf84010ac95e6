"""The FastAPI application: what lives as long as it, what wraps every request, and the routers, one a resource."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

import redis.asyncio
from fastapi import FastAPI

from services.api import openapi, problems, viewer
from services.api.deps import State
from services.api.guard import BrowserGuard
from services.api.metrics import Measure
from services.api.routers import (
    actions,
    activity,
    curves,
    datasets,
    events,
    experiments,
    exports,
    figures,
    health,
    human,
    lineage,
    login,
    models,
    new,
    page,
    reports,
    samples,
    stages,
    static,
    templates,
    vote,
)
from shared.queues import redis_client
from shared.settings import Settings
from shared.store import ObjectStore, S3Store

API = (
    *(experiments, events, reports, human, samples, figures, curves, lineage, stages, exports),
    *(datasets, models, templates, activity, health),
)
PAGES = (page, vote, new, actions, login, static)


def create_app(settings: Settings, store: ObjectStore | None = None) -> FastAPI:
    """The API over these settings; `store` replaces the S3 client, for tests. Connects only when used."""
    client = redis_client(settings)
    # Its own socket timeout must outlast a blocking read of an event stream.
    streams = redis.asyncio.Redis.from_url(
        settings.redis_url.get_secret_value(), socket_timeout=30, socket_connect_timeout=5, max_connections=1000
    )
    state = State.over(settings, store or S3Store.from_settings(settings), client, streams)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await streams.aclose()
        client.close()

    app = FastAPI(title="Touchstone", version=_version(), lifespan=lifespan, redoc_url=None, docs_url=None)
    app.state.touchstone = state
    app.add_middleware(BrowserGuard, settings=settings)
    app.add_middleware(Measure, metrics=state.metrics)
    problems.install(app)
    openapi.install(app)
    viewer.install(app)
    for module in (*API, *PAGES):
        app.include_router(module.router)
    app.include_router(lineage.pages)
    return app


def _version() -> str:
    try:
        return version("touchstone-rlaif")
    except PackageNotFoundError:
        return "0"
