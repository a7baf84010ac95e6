"""Who looks at a page: a browser whose cookie proves a token, or anybody where none is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Form, Request
from fastapi.responses import HTMLResponse

from services.api.deps import SettingsDep
from services.api.guard import COOKIE, form_token, is_form_token, session_of
from services.api.pages.drawing import draw
from services.api.problems import Problem


class LoginNeededError(Exception):
    """Answered with the page that asks for a token."""


@dataclass(frozen=True)
class Viewer:
    """`token` is empty where none is asked for."""

    token: str

    def draw(self, template: str, status: int = 200, **values: Any) -> HTMLResponse:
        """A page with what its forms need."""
        form = form_token(self.token) if self.token else ""
        return draw(template, status, login=bool(self.token), form=form, **values)


def viewer(request: Request, settings: SettingsDep) -> Viewer:
    """Raises `LoginNeededError`."""
    if not settings.api_tokens:
        return Viewer("")
    token = session_of(settings, request.cookies.get(COOKIE, ""))
    if token is None:
        raise LoginNeededError
    return Viewer(token)


ViewerDep = Annotated[Viewer, Depends(viewer)]


def actor(who: ViewerDep, form: Annotated[str, Form(max_length=200)] = "") -> Viewer:
    """Who may change something by a page's form. Raises `Problem` (403) where it is no form of ours."""
    if who.token and not is_form_token(who.token, form):
        raise Problem(403, "this form is not of a page of this server, or of an older one: load the page again")
    return who


ActorDep = Annotated[Viewer, Depends(actor)]


def install(app: FastAPI) -> None:
    """Ask for a token where a page needs one."""
    app.add_exception_handler(LoginNeededError, _ask)


async def _ask(request: Request, error: Exception) -> HTMLResponse:
    path = request.url.path if request.method == "GET" else "/"
    then = f"{path}?{request.url.query}" if request.url.query and path != "/" else path
    return draw("login.html", 401, wrong=False, then=then)
