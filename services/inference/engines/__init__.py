"""Engines by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.inference.engines.base import Serving, Starter
from services.inference.engines.embedded import EmbeddedEngines
from services.inference.engines.external import ExternalEngines
from shared.errors import BadInput
from shared.settings import Settings

STARTERS: dict[str, Callable[[Settings], Starter]] = {
    "embedded": EmbeddedEngines,
    "tgi": lambda _: ExternalEngines("tgi"),
    "openai": lambda _: ExternalEngines("openai"),
}
MANAGED = frozenset({"embedded"})


def parse_engine(value: Any) -> Serving:
    """An engine as a spec names it: `embedded`, `tgi:URL`, or `openai:URL` for vLLM and its like.

    {tgi: URL} does as well as `tgi:URL`; a URL alone means an OpenAI-compatible server's.

    Raises:
        BadInput: it names none.
    """
    if isinstance(value, str) and value in MANAGED:
        return Serving(value)
    name, url = _named_url(value)
    if name in STARTERS and name not in MANAGED and url.startswith(("http://", "https://")):
        return Serving(name, url=url)
    known = ", ".join([*sorted(MANAGED), *(f"{name}:URL" for name in STARTERS if name not in MANAGED)])
    raise BadInput("policies.<name>.engine", f"{value!r} is none", f"Use one of: {known}.")


def _named_url(value: Any) -> tuple[str, str]:
    if isinstance(value, dict) and len(value) == 1:
        name, url = next(iter(value.items()))
        return str(name), str(url)
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return "openai", value
    name, _, url = value.partition(":") if isinstance(value, str) else ("", "", "")
    return name, url
