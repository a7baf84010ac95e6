"""/: the first page, drawn on the server; a few lines of script keep its stages live. A cookie stands for the token."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.api.deps import ID, Redis, SettingsDep, Store
from services.api.guard import COOKIE, session_of, session_value, token_of
from shared.experiments import list_experiments, read_summary

router = APIRouter(include_in_schema=False)

SHOWN = 50
TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@router.get("/")
def first_page(
    request: Request,
    store: Store,
    client: Redis,
    settings: SettingsDep,
    experiment: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """The experiments, and the stages of the one that is chosen (else the newest)."""
    if settings.api_tokens and session_of(settings, request.cookies.get(COOKIE, "")) is None:
        return _draw("login.html", 401, wrong=False)
    listed = list_experiments(client, store)[:SHOWN]
    chosen = read_summary(client, store, experiment) if ID.fullmatch(experiment) else None
    if chosen is None and listed and not experiment:
        chosen = listed[0]
    every_arm = {arm for stage in (chosen or {}).get("stages", []) for arm in stage["arms"]}
    values = {"experiments": listed, "chosen": chosen, "asked": experiment, "every_arm": len(every_arm)}
    return _draw("page.html", 404 if experiment and chosen is None else 200, login=bool(settings.api_tokens), **values)


@router.post("/login")
def log_in(request: Request, settings: SettingsDep, token: Annotated[str, Form(max_length=1000)] = "") -> Response:
    """Take a token and give a cookie that proves it, for reading alone."""
    known = token_of(settings, token.strip())
    if known is None:
        return _draw("login.html", 401, wrong=True)
    response = RedirectResponse("/", 303)
    response.set_cookie(
        COOKIE, session_value(known), httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
    return response


@router.post("/logout")
def log_out() -> Response:
    """Forget the cookie."""
    response = RedirectResponse("/", 303)
    response.delete_cookie(COOKIE, httponly=True, samesite="strict")
    return response


def _draw(template: str, status: int, **values: Any) -> HTMLResponse:
    nonce = secrets.token_urlsafe(16)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    headers = {"Content-Security-Policy": policy, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}
    return HTMLResponse(TEMPLATES.get_template(template).render(nonce=nonce, **values), status, headers)
