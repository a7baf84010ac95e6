"""/static/{version}/{name}: the page's style and scripts, which a browser may keep for ever."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import FileResponse

from services.api.pages.drawing import STATIC
from services.api.problems import not_found

router = APIRouter(include_in_schema=False)

FILES = {path.name: path for path in STATIC.iterdir()}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
HEADERS = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}


@router.get("/static/{version}/{name}")
def static_file(version: str, name: str) -> FileResponse:
    """One of the files in `static`; the version only makes its address new."""
    if name not in FILES:
        raise not_found(f"file {name[:80]!r}")
    return FileResponse(FILES[name], media_type=TYPES[FILES[name].suffix], headers=HEADERS)
