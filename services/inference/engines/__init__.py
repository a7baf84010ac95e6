"""Engines: what serves a checkpoint over HTTP. To add one that is started here: a file and its line in ENGINES."""

from __future__ import annotations

from services.inference.engines.base import Engine, Serve
from services.inference.engines.embedded import EmbeddedEngine
from services.inference.engines.external import ExternalEngine
from shared.errors import BadInput

ENGINES: dict[str, type[Engine]] = {"embedded": EmbeddedEngine}


def start_engine(name: str, serve: Serve) -> Engine:
    """Start the engine of this name on a checkpoint, or reach the running server that `name` is the URL of.

    Raises:
        BadInput: no engine has this name.
        StageError: it did not start.
    """
    if "://" in name:
        return ExternalEngine(name, serve)
    if name not in ENGINES:
        known = ", ".join(ENGINES)
        raise BadInput("policies.<policy>.engine", f"{name!r} is unknown", f"Use {known} or a running server's URL.")
    return ENGINES[name](serve)


__all__ = ["ENGINES", "Engine", "ExternalEngine", "Serve", "start_engine"]
