"""/login and /logout: a cookie that stands for a token, and who looks at a page."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from services.api.deps import SettingsDep
from services.api.guard import COOKIE, session_value, token_of
from services.api.pages.drawing import draw

router = APIRouter(include_in_schema=False)

Next = Annotated[str, Form(alias="next", max_length=2000)]


@router.post("/login")
def log_in(
    request: Request, settings: SettingsDep, token: Annotated[str, Form(max_length=1000)] = "", then: Next = "/"
) -> Response:
    """Take a token and give a cookie that proves it."""
    known = token_of(settings, token.strip())
    if known is None:
        return draw("login.html", 401, wrong=True, then=then)
    response = RedirectResponse(own_path(then), 303)
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


def own_path(path: str) -> str:
    """A path of this server; `/` for anything that may lead elsewhere."""
    fine = path.startswith("/") and not path.startswith("//") and "\\" not in path and path.isprintable()
    return path if fine else "/"
