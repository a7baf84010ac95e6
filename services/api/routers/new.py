"""/new: a form that writes a spec, shows its price as it is written, and starts it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import RedirectResponse, Response

from services.api.deps import ID, Redis, SettingsDep, Store
from services.api.idempotency import keyed_id
from services.api.pages.newspec import FIRST, ROLES
from services.api.problems import TooLarge
from services.api.routers.experiments import resolved_spec
from services.api.spectext import read_spec_text
from services.api.viewer import ActorDep, Viewer, ViewerDep
from shared import datasets, models
from shared import experiments as stored
from shared.chat_templates import CHAT_TEMPLATES
from shared.errors import BadInput, FieldError
from shared.settings import Settings
from shared.store import NotFound, ObjectStore

router = APIRouter(include_in_schema=False)

OFFERED = 200
"""How many datasets and models the form offers by name."""


@router.get("/new")
def form(
    request: Request,
    who: ViewerDep,
    store: Store,
    settings: SettingsDep,
    source: Annotated[str, Query(alias="from", max_length=64)] = "",
) -> Response:
    """An empty form, or the spec of another experiment to be changed."""
    text = ""
    if ID.fullmatch(source):
        try:
            text = store.get(f"{stored.PREFIX}{source}/spec.txt").decode(errors="replace")
        except NotFound:
            text = ""
    return _draw(request, who, store, settings, text or FIRST, own=bool(text))


@router.post("/new")
def start(
    request: Request,
    who: ActorDep,
    store: Store,
    client: Redis,
    settings: SettingsDep,
    spec: Annotated[str, Form()] = "",
) -> Response:
    """Start what was written; where it is wrong, show it again with what to mend."""
    text = spec.replace("\r\n", "\n")
    if len(text.encode()) > settings.max_spec_bytes:
        raise TooLarge("spec", settings.max_spec_bytes, "TOUCHSTONE_MAX_SPEC_BYTES")
    try:
        resolved = resolved_spec(read_spec_text(text.encode(), "application/yaml"), store, settings)
    except BadInput as error:
        return _draw(request, who, store, settings, text, own=True, errors=error.errors, status=422)
    client.ping()
    made = stored.create(store, client, resolved, text, keyed_id(None, who.token))
    return RedirectResponse(f"/experiments/{made['id']}", 303)


def _draw(
    request: Request,
    who: Viewer,
    store: ObjectStore,
    settings: Settings,
    text: str,
    own: bool,
    errors: tuple[FieldError, ...] = (),
    status: int = 200,
) -> Response:
    known, _ = datasets.list_datasets(store, OFFERED, "")
    bases, _ = models.list_models(store, OFFERED, "")
    values: dict[str, Any] = {
        "text": text,
        "own": own,
        "errors": errors,
        "roles": ROLES,
        "datasets": known,
        "bases": bases,
        "templates": sorted(CHAT_TEMPLATES),
        "keys": sorted(settings.api_keys),
        "url": str(request.base_url).rstrip("/"),
    }
    return who.draw("new.html", status, here="new", **values)
