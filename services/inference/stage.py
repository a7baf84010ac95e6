"""What sampling and scoring have in common: which model an engine serves for a stage, and which rows it does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from services.inference.adapters import Adapter, read_adapter
from services.inference.engines import parse_engine
from services.inference.engines.base import Serving
from shared.chat_templates import chat_template
from shared.context import StageContext, cache_folder
from shared.errors import BadInput
from shared.hub_cache import fetch_from_hub
from shared.models import fetch_model

Row = TypeVar("Row")


def serving_of(ctx: StageContext) -> Serving:
    """What must be served: params `engine`, `engine_args`, `dtype`, `chat_template`, and the model.

    An external engine serves what its operator chose; a managed one gets the input `checkpoint`, or the untrained model
    of params["model"] ({uploaded: sha256} or {hub: name, revision: commit}). Where that is an adapter, its base comes
    from the hub, and the engine applies the one to the other.
    """
    params = ctx.unit.params
    serving = parse_engine(params.get("engine", "embedded"))
    if serving.url is not None:
        return serving
    template = params.get("chat_template")
    if template is not None:
        chat_template(template)
    folder = model_folder(ctx)
    ctx.log(str(ctx.cache.used))
    adapter = read_adapter(folder)
    return replace(
        serving,
        folder=folder if adapter is None else _base(ctx, adapter),
        dtype=params.get("dtype", "float32"),
        chat_template=template,
        adapter=None if adapter is None else folder,
        arguments=tuple(sorted((params.get("engine_args") or {}).items())),
    )


def own_rows(ctx: StageContext, rows: list[Row]) -> list[Row]:
    """The unit's shard of the stage's rows; all of them where it is not a shard."""
    shard = ctx.unit.shard
    return rows if shard is None else rows[shard.start : shard.stop]


def model_folder(ctx: StageContext) -> Path:
    """A local copy of the input `checkpoint`, or of params["model"]."""
    if ctx.has_input("checkpoint"):
        return ctx.input("checkpoint").folder()
    model: dict[str, Any] = ctx.unit.params.get("model") or {}
    if "uploaded" in model:
        return fetch_model(ctx.store, model["uploaded"], ctx.cache)
    if "hub" in model:
        return _download(ctx, model["hub"], model.get("revision"))
    raise BadInput("model", "neither an input checkpoint nor a model is given", "Name {uploaded: …} or {hub: …}.")


def _base(ctx: StageContext, adapter: Adapter) -> Path:
    folder = _download(ctx, adapter.base, adapter.revision)
    # The hub's folder is called after the commit, which the adapter itself need not name.
    ctx.log(f"the adapter's base is {adapter.base} at {folder.name}")
    return folder


def _download(ctx: StageContext, name: str, revision: str | None) -> Path:
    return fetch_from_hub(name, revision, cache_folder(ctx.settings), ctx.settings.trust_remote_code)
