"""The engine that this worker holds: reused while the checkpoint stays the same, ended when it changes."""

from __future__ import annotations

import atexit
import threading
from pathlib import Path

from services.inference.engines import Engine, Serve, start_engine
from shared.context import StageContext
from shared.errors import StageError
from shared.models import fetch_model


class Holder:
    """At most one engine at a time; a stage's work runs inside `lock`."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self._engine: Engine | None = None
        self._serves: tuple[str, Serve] | None = None

    def engine(self, ctx: StageContext) -> Engine:
        """The engine of the unit's checkpoint, started if it does not run."""
        wanted = (str(ctx.unit.params["engine"]), _serve(ctx))
        if self._engine is not None and (self._serves != wanted or not self._engine.alive()):
            self.close()
        if self._engine is None:
            self._engine, self._serves = start_engine(*wanted), wanted
        return self._engine

    def close(self) -> None:
        """End the engine, if there is one."""
        if self._engine is not None:
            engine, self._engine, self._serves = self._engine, None, None
            engine.close()


def _serve(ctx: StageContext) -> Serve:
    params, settings = ctx.unit.params, ctx.settings
    return Serve(
        folder=_folder(ctx),
        dtype=str(params.get("dtype", "float32")),
        chat_template=params.get("chat_template"),
        threads=settings.torch_threads,
        lock=settings.data_dir / "engine.lock",
        trust_remote_code=settings.trust_remote_code,
    )


def _folder(ctx: StageContext) -> Path:
    """The checkpoint's local folder: an input's, or an uploaded model's."""
    if ctx.has_input("checkpoint"):
        return ctx.input("checkpoint").folder()
    model = ctx.unit.params.get("model") or {}
    if "uploaded" not in model:
        raise StageError("the stage has no checkpoint")
    return fetch_model(ctx.store, model["uploaded"], ctx.settings.data_dir / "models" / model["uploaded"])


HOLDER = Holder()
atexit.register(HOLDER.close)
