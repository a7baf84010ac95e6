"""Who may ask: bearer tokens, the page's cookie, and no requests that a foreign web page smuggles in."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.api.problems import Problem, problem_response
from shared.errors import BadInput
from shared.settings import Settings

COOKIE = "touchstone_session"
FORM_HEADER = "X-Touchstone-Form"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def is_loopback(host: str) -> bool:
    """Whether a host's name or address means this machine alone."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def refuse_open_address(settings: Settings) -> None:
    """Raise `BadInput` if the API would listen to a network without asking for a token."""
    if not settings.api_tokens and not is_loopback(settings.api_host):
        raise BadInput(
            "TOUCHSTONE_API_TOKENS",
            f"is not set, and TOUCHSTONE_API_HOST={settings.api_host} can be reached from other machines",
            "Set it to one or more secret tokens (`openssl rand -hex 32`), or listen on 127.0.0.1.",
        )


def token_of(settings: Settings, offered: str) -> str | None:
    """The configured token that equals what was offered, compared in constant time."""
    return _equal(
        offered, {token.get_secret_value(): token.get_secret_value() for token in settings.api_tokens}.items()
    )


def session_of(settings: Settings, offered: str) -> str | None:
    """The configured token that a session cookie stands for."""
    tokens = [token.get_secret_value() for token in settings.api_tokens]
    return _equal(offered, [(session_value(token), token) for token in tokens])


def session_value(token: str) -> str:
    """The cookie's value: it proves that its holder knew the token, and does not tell it."""
    return hmac.new(token.encode(), b"touchstone page session", hashlib.sha256).hexdigest()


def form_token(token: str) -> str:
    """What this server's pages send along to change anything: no other site's page can read it."""
    return hmac.new(token.encode(), b"touchstone page form", hashlib.sha256).hexdigest()


def is_form_token(token: str, offered: str) -> bool:
    """Whether it is the one of this token's pages; compared in constant time."""
    return hmac.compare_digest(offered.encode(), form_token(token).encode())


def _equal(offered: str, expected: Iterable[tuple[str, str]]) -> str | None:
    found = None
    for value, token in expected:
        if hmac.compare_digest(offered.encode(), value.encode()):
            found = token
    return found


def _hostname(url: str) -> str:
    """The host in a URL; empty where it is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class BrowserGuard:
    """Refuses what only a foreign web page in someone's browser would send.

    Without tokens the API trusts whoever reaches its loopback address, and that is also every page open in a browser on
    this machine: a POST that needs no preflight, or a name that was rebound to 127.0.0.1.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._any_host = bool(settings.api_tokens)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (problem := self._refusal(scope["method"], Headers(scope=scope))):
            await problem_response(problem)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refusal(self, method: str, headers: Headers) -> Problem | None:
        host = headers.get("host", "")
        if not self._any_host and not is_loopback(_hostname(f"//{host}")):
            return Problem(403, f"this server answers on loopback only, not as {host!r}; set TOUCHSTONE_API_TOKENS")
        origin = headers.get("origin")
        if method not in SAFE and origin is not None and origin.partition("://")[2] != host:
            return Problem(403, f"a page of {origin} may not do this")
        return None
