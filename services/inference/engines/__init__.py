"""Engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.inference.engines.base import Check, Engine, Note, Serving, Starter, quiet
from services.inference.engines.embedded import EmbeddedEngines
from services.inference.engines.external import ExternalEngines
from services.inference.engines.launched import KINDS, LaunchedEngines
from shared.engines import LAUNCHED
from shared.errors import BadInput
from shared.settings import Settings


class TGI:
    """TGI as a server that runs already, or started on each checkpoint."""

    def __init__(self, settings: Settings) -> None:
        self._external = ExternalEngines("tgi")
        self._launched = LaunchedEngines(KINDS["tgi"], settings)

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        starter: Starter = self._launched if serving.url is None else self._external
        return starter.start(serving, check, note)

    def close(self) -> None:
        self._launched.close()


STARTERS: dict[str, Callable[[Settings], Starter]] = {
    "embedded": EmbeddedEngines,
    "tgi": TGI,
    "vllm": lambda settings: LaunchedEngines(KINDS["vllm"], settings),
    "openai": lambda _: ExternalEngines("openai"),
}
MANAGED = ("embedded", *LAUNCHED)
"""Those that are started on each checkpoint."""
EXTERNAL = ("tgi", "openai")
"""Those that run already, reached by URL."""


def parse_engine(value: Any) -> Serving:
    """An engine as a spec names it: `embedded`, `tgi` or `vllm`, `tgi:URL`, or `openai:URL` for vLLM and its like.

    {tgi: URL} does as well as `tgi:URL`; a URL alone means an OpenAI-compatible server's.

    Raises:
        BadInput: it names none.
    """
    if isinstance(value, str) and value in MANAGED:
        return Serving(value)
    name, url = _named_url(value)
    if name in EXTERNAL and url.startswith(("http://", "https://")):
        return Serving(name, url=url)
    known = ", ".join([*MANAGED, *(f"{name}:URL" for name in EXTERNAL)])
    raise BadInput("policies.<name>.engine", f"{value!r} is none", f"Use one of: {known}.")


def _named_url(value: Any) -> tuple[str, str]:
    if isinstance(value, dict) and len(value) == 1:
        name, url = next(iter(value.items()))
        return str(name), str(url)
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return "openai", value
    name, _, url = value.partition(":") if isinstance(value, str) else ("", "", "")
    return name, url
