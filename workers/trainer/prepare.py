"""A stage's unit becomes a job folder: its rows, its model, and the checkpoint to go on from. No torch here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.artifacts import Artifact
from shared.chat_templates import chat_template
from shared.context import StageContext
from shared.errors import PermanentError
from shared.models import fetch_model
from shared.selection import chosen, selected
from shared.splits import normalise
from workers.trainer.job import EXCLUDED, ROWS, Job, ModelSource
from workers.trainer.methods import METHODS
from workers.trainer.methods.base import Method

RESUME = "resume"
PREFERENCES = "preferences"


def prepare(ctx: StageContext, folder: Path, resume: bool) -> Job:
    """Write everything that the training needs into `folder`; `resume` says whether a checkpoint lies there.

    Raises:
        PermanentError: the rows cannot be trained on, or the method is unknown.
        Outage: the store is away.
    """
    job = _pretraining(ctx, folder) if ctx.unit.kind == "pretrain" else _training(ctx, folder)
    job = job.model_copy(update={"resume": RESUME if resume else None})
    job.write(folder)
    return job


def _pretraining(ctx: StageContext, folder: Path) -> Job:
    table = ctx.input("prompts").rows()
    rows = table.select(["prompt", "split"]).to_pylist()
    excluded = sorted({normalise(row["prompt"]) for row in rows if row["split"] != "train"})
    (folder / EXCLUDED).write_text(json.dumps(excluded))
    settings = ctx.unit.params["settings"]
    seed = ctx.unit.params.get("seed", settings.get("seed", 0))
    return Job(method="pretrain", seed=seed, settings=settings, threads=ctx.settings.torch_threads)


def _training(ctx: StageContext, folder: Path) -> Job:
    params = ctx.unit.params
    try:
        method = METHODS[params["method"]]
    except KeyError:
        raise PermanentError(f"method {params['method']!r} is unknown; this trainer has {', '.join(METHODS)}") from None
    pq.write_table(method.rows(_tables(ctx, method)), folder / ROWS)
    template = params.get("chat_template")
    return Job(
        method=method.name,
        seed=params["seed"],
        args=params.get("args", {}),
        beta=params.get("beta"),
        model=_model(ctx, method, params),
        chat_template=None if template is None else chat_template(template),
        precision=params.get("precision", "float32"),
        max_length=params.get("max_length"),
        lora=params.get("lora"),
        checkpoint_seconds=ctx.settings.checkpoint_seconds,
        threads=ctx.settings.torch_threads,
        trust_remote_code=ctx.settings.trust_remote_code,
    )


def _tables(ctx: StageContext, method: Method) -> list[pa.Table]:
    """The inputs that hold rows, in the plan's order; where SFT is given preferences, their chosen completions."""
    name, params = method.tables, ctx.unit.params
    if ctx.has_input(PREFERENCES):
        pairs = selected(ctx.input(PREFERENCES).rows(), params)
        return [pairs if name == PREFERENCES else chosen(pairs)]
    if ctx.has_input(name):
        return [ctx.input(name).rows()]
    numbered = [other for other in ctx.unit.inputs if other.startswith(f"{name}/")]
    numbered.sort(key=lambda other: int(other.removeprefix(f"{name}/")))
    return [ctx.input(other).rows() for other in numbered]


def _model(ctx: StageContext, method: Method, params: dict[str, Any]) -> ModelSource:
    if ctx.has_input(method.model):
        artifact: Artifact = ctx.input(method.model)
        return ModelSource(folder=str(artifact.folder().resolve()))
    model = params["model"]
    if "uploaded" in model:
        folder = fetch_model(ctx.store, model["uploaded"], ctx.settings.data_dir / "models")
        return ModelSource(folder=str(folder.resolve()))
    return ModelSource(hub=model["hub"], revision=model["revision"])
