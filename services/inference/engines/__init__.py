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
    """An engine as a spec names it: `embedded`, `{tgi: URL}`, or `{openai: URL}` for vLLM and its like.

    A URL alone means the last.

    Raises:
        BadInput: it names none.
    """
    if isinstance(value, str) and value in MANAGED:
        return Serving(value)
    if isinstance(value, str) and value.startswith(("http://", "https://")):
        return Serving("openai", url=value)
    if isinstance(value, dict) and len(value) == 1:
        name, url = next(iter(value.items()))
        if name in STARTERS and name not in MANAGED and isinstance(url, str) and "://" in url:
            return Serving(name, url=url)
    known = ", ".join([*sorted(MANAGED), *(f"{{{name}: URL}}" for name in STARTERS if name not in MANAGED)])
    raise BadInput("engine", f"{value!r} is none", f"Use one of: {known}.")
