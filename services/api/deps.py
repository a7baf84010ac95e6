"""What endpoints are given, as Annotated aliases: settings, store, Redis, who asks, bodies and pages."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any

import redis
import redis.asyncio
from fastapi import Depends, Header, Query, Request

from services.api.activity import Activity
from services.api.exports.made import Exports
from services.api.feeds import Feeds
from services.api.guard import COOKIE, FORM_HEADER, SAFE, is_form_token, session_of, token_of
from services.api.judged_rows import JudgedRows
from services.api.lineage import Lineages
from services.api.listing import Listing
from services.api.metrics import Metrics
from services.api.pictures import Pictures
from services.api.planned import Plans
from services.api.problems import Problem, TooLarge, not_found
from services.api.reportfiles import Figures, Reports
from services.api.sheets import Sheets
from services.api.spectext import read_spec_text
from services.api.voted import Voted
from shared.errors import BadInput
from shared.experiments import read_summary
from shared.names import NAME
from shared.queues import celery_app
from shared.settings import Settings
from shared.store import ObjectStore

ID = re.compile(r"[a-z0-9-]{1,64}")
KEY = re.compile(r"[0-9a-f]{64}")


@dataclass
class State:
    """What lives as long as the app."""

    settings: Settings
    store: ObjectStore
    redis: redis.Redis
    events: redis.asyncio.Redis
    metrics: Metrics
    listing: Listing
    plans: Plans
    reports: Reports
    figures: Figures
    pictures: Pictures
    judged: JudgedRows
    voted: Voted
    sheets: Sheets
    lineages: Lineages
    exports: Exports
    activity: Activity
    feeds: Feeds

    @classmethod
    def over(cls, settings: Settings, store: ObjectStore, client: redis.Redis, events: redis.asyncio.Redis) -> State:
        """Everything that is made of these."""
        broker = celery_app("api", settings)
        plans, voted = Plans(store), Voted(store, client, broker)
        reports, judged, lineages = Reports(store, voted), JudgedRows(store, plans), Lineages(store)
        return cls(
            settings,
            store,
            client,
            events,
            Metrics(client),
            Listing(store, client, settings.relist_seconds),
            plans,
            reports,
            Figures(reports),
            Pictures(),
            judged,
            voted,
            Sheets(plans, judged),
            lineages,
            Exports(store, plans, reports, lineages),
            Activity(broker, client),
            Feeds(events, client, store),
        )


def _state(request: Request) -> State:
    state: State = request.app.state.touchstone
    return state


StateDep = Annotated[State, Depends(_state)]


def _settings(state: StateDep) -> Settings:
    return state.settings


def _store(state: StateDep) -> ObjectStore:
    return state.store


def _listing(state: StateDep) -> Listing:
    return state.listing


def _plans(state: StateDep) -> Plans:
    return state.plans


def _reports(state: StateDep) -> Reports:
    return state.reports


def _figures(state: StateDep) -> Figures:
    return state.figures


def _pictures(state: StateDep) -> Pictures:
    return state.pictures


def _judged(state: StateDep) -> JudgedRows:
    return state.judged


def _voted(state: StateDep) -> Voted:
    return state.voted


def _sheets(state: StateDep) -> Sheets:
    return state.sheets


def _lineages(state: StateDep) -> Lineages:
    return state.lineages


def _exports(state: StateDep) -> Exports:
    return state.exports


def _activity(state: StateDep) -> Activity:
    return state.activity


def _redis(state: StateDep) -> redis.Redis:
    return state.redis


SettingsDep = Annotated[Settings, Depends(_settings)]
Store = Annotated[ObjectStore, Depends(_store)]
Redis = Annotated[redis.Redis, Depends(_redis)]
ListingDep = Annotated[Listing, Depends(_listing)]
PlansDep = Annotated[Plans, Depends(_plans)]
ReportsDep = Annotated[Reports, Depends(_reports)]
FiguresDep = Annotated[Figures, Depends(_figures)]
PicturesDep = Annotated[Pictures, Depends(_pictures)]
JudgedRowsDep = Annotated[JudgedRows, Depends(_judged)]
VotedDep = Annotated[Voted, Depends(_voted)]
SheetsDep = Annotated[Sheets, Depends(_sheets)]
LineagesDep = Annotated[Lineages, Depends(_lineages)]
ExportsDep = Annotated[Exports, Depends(_exports)]
ActivityDep = Annotated[Activity, Depends(_activity)]


def caller(request: Request, settings: SettingsDep) -> str:
    """The token that the caller proved to know; empty where none is asked for.

    A browser's cookie reads; to change anything the request must also bear what only this server's pages hold.
    """
    if not settings.api_tokens:
        return ""
    scheme, _, offered = request.headers.get("authorization", "").partition(" ")
    found = token_of(settings, offered.strip()) if scheme.lower() == "bearer" else None
    if found is None and (session := session_of(settings, request.cookies.get(COOKIE, ""))) is not None:
        mine = is_form_token(session, request.headers.get(FORM_HEADER, ""))
        found = session if mine or request.method in SAFE else None
    if found is None:
        detail = "a bearer token is needed: Authorization: Bearer <one of TOUCHSTONE_API_TOKENS>"
        raise Problem(401, detail, headers={"WWW-Authenticate": "Bearer"})
    return found


Caller = Annotated[str, Depends(caller)]


@dataclass(frozen=True)
class SpecBody:
    """A spec as it was sent: its bytes and the plain data in them."""

    text: str
    data: Any


async def _spec_body(request: Request, settings: SettingsDep, who: Caller) -> SpecBody:
    limit = settings.max_spec_bytes
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise TooLarge("spec", limit, "TOUCHSTONE_MAX_SPEC_BYTES")
    data = read_spec_text(bytes(body), request.headers.get("content-type", ""))
    return SpecBody(body.decode("utf-8-sig"), data)


SpecBodyDep = Annotated[SpecBody, Depends(_spec_body)]

IdempotencyKey = Annotated[
    str | None,
    Header(min_length=1, max_length=255, description="Sending the same body again under this key starts nothing new"),
]
Limit = Annotated[int, Query(ge=1, le=500, description="at most this many items")]
Cursor = Annotated[str, Query(max_length=300, description="`next_cursor` of the page before")]


def _name_cursor(cursor: Cursor = "") -> str:
    if cursor and not NAME.fullmatch(cursor):
        raise bad_cursor()
    return cursor


# Lists by name go on after a name.
NameCursor = Annotated[str, Depends(_name_cursor)]


def bad_cursor() -> BadInput:
    """The error of a cursor that no page had."""
    return BadInput("cursor", "is none that this server gave", "Use next_cursor, or leave it out.")


def _summary(id: str, store: Store, client: Redis) -> dict[str, Any]:
    found = read_summary(client, store, id) if ID.fullmatch(id) else None
    if found is None:
        raise not_found(f"experiment {id!r}")
    return found


Summary = Annotated[dict[str, Any], Depends(_summary)]


def _stage_key(key: str) -> str:
    if not KEY.fullmatch(key):
        raise not_found(f"stage {key[:80]!r}: a key has 64 hexadecimal digits")
    return key


StageKey = Annotated[str, Depends(_stage_key)]
