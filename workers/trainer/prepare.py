"""A stage's unit becomes a job folder: its rows, its model, and the checkpoint to go on from. No torch here."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from shared.artifacts import Artifact
from shared.chat_templates import chat_template
from shared.context import StageContext, cache_folder
from shared.datasets import read_dataset
from shared.errors import PermanentError
from shared.hardware import divided
from shared.hub_cache import fetch_from_hub
from shared.models import fetch_model
from shared.selection import chosen, selected
from shared.splits import normalise, rows_of_split
from shared.trl import AT_ONCE, BATCH, USUAL
from workers.trainer import references
from workers.trainer.job import EXCLUDED, ROWS, Grader, Job, Lora, ModelSource, Sampling
from workers.trainer.methods import METHODS
from workers.trainer.methods.base import Method

RESUME = "resume"
PREFERENCES = "preferences"
PROMPTS = "prompts"


def prepare(ctx: StageContext, folder: Path, resume: bool) -> Job:
    """Write everything that the training needs into `folder`; `resume` says whether a checkpoint lies there.

    Raises:
        PermanentError: the rows cannot be trained on, the method is unknown, or there is no DeepSpeed here.
        Outage: the store is away.
    """
    kinds = {"pretrain": _pretraining, "reference": _scoring}
    job = kinds.get(ctx.unit.kind, _training)(ctx, folder)
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


def _scoring(ctx: StageContext, folder: Path) -> Job:
    """The log-probabilities of pairs, by what DPO's trainer is before its first step."""
    params = ctx.unit.params
    method, args = METHODS["dpo"], dict(params["args"])
    args[BATCH] = args.pop(AT_ONCE, None) or USUAL[BATCH]
    pq.write_table(method.rows([references.numbered(ctx.input(PREFERENCES).rows())]), folder / ROWS)
    template = params["chat_template"]
    return Job(
        method=method.name,
        reference="wanted",
        args=args,
        model=_model(ctx, method, params),
        chat_template=None if template is None else chat_template(template),
        precision=params["precision"],
        max_length=params["max_length"],
        lora=Lora(quantize=params["quantize"]) if "quantize" in params else None,
        attention=params.get("attention"),
        checkpoint_seconds=ctx.settings.checkpoint_seconds,
        threads=ctx.settings.torch_threads,
        trust_remote_code=ctx.settings.trust_remote_code,
    )


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
        args=_args(params.get("args", {}), int(ctx.unit.options.get("gpus", 1))),
        beta=params.get("beta"),
        model=_model(ctx, method, params),
        chat_template=None if template is None else chat_template(template),
        precision=params.get("precision", "float32"),
        max_length=params.get("max_length"),
        lora=params.get("lora"),
        sampling=_sampling(params),
        grader=_grader(ctx),
        teacher=_source(ctx, "teacher", params.get("teacher")),
        reference="given" if ctx.has_input("reference") else "own",
        holdout=params.get("holdout", 0.0),
        attention=params.get("attention"),
        max_loss=params.get("max_loss"),
        checkpoints=params.get("checkpoints", 1),
        trial=params.get("trial", False),
        report_to=ctx.unit.options.get("report_to", []),
        run=f"{method.name}-{ctx.unit.key[:12]}",
        logs=str(ctx.settings.data_dir.resolve() / "tensorboard" / ctx.unit.key[:12]),
        checkpoint_seconds=ctx.settings.checkpoint_seconds,
        threads=ctx.settings.torch_threads,
        trust_remote_code=ctx.settings.trust_remote_code,
        strategy=_strategy(ctx.unit.options.get("strategy", "ddp")),
        zero_stage=ctx.unit.options.get("zero_stage", 2),
    )


def _strategy(name: Any) -> Any:
    """How the ranks share the model, where this trainer can."""
    if name == "deepspeed" and find_spec("deepspeed") is None:
        raise PermanentError(
            "hardware.strategy: deepspeed is not installed on this trainer; there, `pip install deepspeed`, or write "
            "`strategy: fsdp`"
        )
    return name


def _args(args: dict[str, Any], gpus: int) -> dict[str, Any]:
    """A rank's arguments."""
    if gpus == 1:
        return args
    if (own := divided(args, gpus)) is None:
        raise PermanentError(f"the batch cannot be divided among {gpus} GPUs: see policies.<name>.hardware")
    return own


def _tables(ctx: StageContext, method: Method) -> list[pa.Table]:
    """The inputs that hold rows, in the plan's order; where SFT is given preferences, their chosen completions."""
    name, params = method.tables, ctx.unit.params
    if ctx.has_input(PREFERENCES):
        pairs = ctx.input(PREFERENCES).rows()
        if ctx.has_input("reference"):
            pairs = references.joined(pairs, ctx.input("reference").table(references.FILE))
        pairs = selected(pairs, params)
        return [pairs if name == PREFERENCES else chosen(pairs)]
    if name == PROMPTS:
        table = rows_of_split(ctx.input(name).rows(), params["split"], params["start"], params["stop"])
        return [_answered(ctx, table.select(["prompt_id", "prompt"]))]
    if ctx.has_input(name):
        return [ctx.input(name).rows()]
    numbered = [other for other in ctx.unit.inputs if other.startswith(f"{name}/")]
    numbered.sort(key=lambda other: int(other.removeprefix(f"{name}/")))
    return [ctx.input(other).rows() for other in numbered]


def _answered(ctx: StageContext, prompts: pa.Table) -> pa.Table:
    """The prompts, with the right answers where a check compares with some; one without an answer is left out."""
    dataset = ctx.unit.params.get("reward", {}).get("dataset")
    if dataset is None:
        return prompts
    given = read_dataset(ctx.store, dataset, ctx.cache)
    answers = dict(zip(given["prompt_id"].to_pylist(), given["completion"].to_pylist(), strict=True))
    found = [answers.get(prompt_id) for prompt_id in prompts["prompt_id"].to_pylist()]
    table = prompts.append_column("answer", pa.array(found, pa.string()))
    return table.filter(pa.array([answer is not None for answer in found]))


def _sampling(params: dict[str, Any]) -> Sampling | None:
    if "max_tokens" not in params:
        return None
    return Sampling(temperature=params["temperature"], top_p=params["top_p"], max_tokens=params["max_tokens"])


def _grader(ctx: StageContext) -> Grader | None:
    """What rewards completions: the reward model of an input, or the critic of the params as its identity says."""
    given = ctx.unit.params.get("reward")
    if given is None and not ctx.has_input("reward"):
        return None
    if given is not None and "check" in given:
        return Grader(check=given["check"], pattern=given.get("pattern"))
    critic = given or {}
    return Grader(
        model=_source(ctx, "reward", critic.get("model")),
        precision=critic.get("dtype", "float32"),
        max_length=critic.get("max_length"),
    )


def _model(ctx: StageContext, method: Method, params: dict[str, Any]) -> ModelSource:
    source = _source(ctx, method.model, params.get("model"))
    assert source is not None, "a training has a model"
    return source


def _source(ctx: StageContext, name: str, model: dict[str, str] | None) -> ModelSource | None:
    """The checkpoint of an input, or the model that the params name; None without either."""
    if ctx.has_input(name):
        artifact: Artifact = ctx.input(name)
        return ModelSource(folder=str(artifact.folder().resolve()))
    if model is None:
        return None
    if "uploaded" in model:
        folder = fetch_model(ctx.store, model["uploaded"], ctx.cache)
        return ModelSource(folder=str(folder.resolve()))
    local = fetch_from_hub(model["hub"], model["revision"], cache_folder(ctx.settings), ctx.settings.trust_remote_code)
    return ModelSource(folder=str(local.resolve()), hub=model["hub"], revision=model["revision"])
