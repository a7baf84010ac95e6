"""Drawing a page: Jinja with everything escaped, and headers that let it load nothing but this server's own files."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from services.api.pages.wording import money, number

FOLDER = Path(__file__).parent.parent
STATIC = FOLDER / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Referrer-Policy": "same-origin"}


def static_version() -> str:
    """A hash of all static files, in their address: a browser may keep them for ever, and never has old ones."""
    digest = hashlib.sha256()
    for path in sorted(STATIC.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def moment(text: str | None) -> str:
    """An ISO 8601 time as `2026-11-23 20:15`, in UTC."""
    return "" if not text else f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M}"


def plain(data: Any, indent: int | None = None) -> str:
    """Data as JSON to be read; the template escapes it."""
    return json.dumps(data, indent=indent, ensure_ascii=False, default=str)


def environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {"plain": plain, "moment": moment, "money": money, "number": number}
    made.globals["static"] = f"/static/{static_version()}"
    return made


TEMPLATES = environment()


def draw(template: str, status: int = 200, **values: Any) -> HTMLResponse:
    """The answer that a template makes; `here` is the part of the server that it belongs to."""
    usual = {"here": "", "login": False, "form": ""}
    return HTMLResponse(TEMPLATES.get_template(template).render(usual | values), status, HEADERS)
