"""One training with TRL, from a job folder to the files that are committed."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from transformers import PrinterCallback

from shared.errors import PermanentError
from shared.trials import DIVERGED, steps_at
from workers.trainer import outputs, reporting, sharding, speed
from workers.trainer.callbacks import Checkpointer, Reporter, StateKeeper, TokenCount
from workers.trainer.failures import AfterStep, LossError
from workers.trainer.guard import Guard
from workers.trainer.job import CHECKPOINTS, OUT, ROWS, SAVE, Job
from workers.trainer.loading import load
from workers.trainer.messages import Message
from workers.trainer.methods import METHODS
from workers.trainer.methods.base import Method
from workers.trainer.overlap import Writer, overlapping
from workers.trainer.speed import Stopwatch

# Over TRL's own defaults, under the spec's arguments. Every step is logged, so that a training can be saved at any.
# A loss that is no number is logged as what it is, for the guard to see.
DEFAULTS: dict[str, Any] = {
    "logging_steps": 1,
    "logging_nan_inf_filter": False,
    "activation_checkpointing": False,
    "dataloader_pin_memory": False,
}
# Old names that transformers 5 still takes, with a warning.
RENAMED = {
    "gradient_checkpointing": "activation_checkpointing",
    "gradient_checkpointing_kwargs": "activation_checkpointing_kwargs",
}


def run(job: Job, folder: Path, send: Callable[[Message], None]) -> dict[str, Any]:
    """Train, write the results under `out`, and return the stage's metrics.

    Raises:
        PermanentError: the arguments, rows or model cannot be trained with, the weights are no longer finite, or who is
            to be told of it cannot be.
        AfterStep: whatever ended TRL's loop, as its cause.
    """
    torch.set_num_threads(job.threads)
    # Of a checkpoint's write it is half, where that is not the disk's; every file is known by its SHA-256 in the store.
    torch.serialization.set_crc32_options(False)
    reporting.prepare(job.report_to, None if job.logs is None else Path(job.logs), folder)
    sharding.prepare(job)
    method = METHODS[job.method]
    writer = Writer()
    trainer, rows = build(job, folder, writer)
    evidence = method.evidence(trainer, job, rows)
    checkpointer = Checkpointer(job.checkpoint_seconds, send, folder / SAVE, writer)
    watch = Stopwatch()
    # The guard first: what has diverged is neither sent nor saved.
    keeper = StateKeeper(job.checkpoints, partial(outputs.save_state, trainer, job), send, folder)
    for callback in (Guard(job.max_loss), Reporter(send), keeper, checkpointer, TokenCount(trainer), watch):
        trainer.add_callback(callback)
    try:
        trainer.train(resume_from_checkpoint=str(folder / job.resume) if job.resume else None)
        if job.strategy != "ddp":
            trainer.model = sharding.whole(trainer, job)
        if trainer.is_world_process_zero():
            outputs.save(trainer, job, folder / OUT)
    except Exception as error:
        if job.trial and job.strategy == "ddp" and isinstance(error, LossError):
            return _diverged(trainer, job, folder, error) | evidence
        raise AfterStep(trainer.state.global_step) from error
    if not trainer.is_world_process_zero():
        return {}
    counted = method.trained_tokens(trainer)
    found = {**outputs.summary(trainer), **({} if counted is None else {"tokens": counted}), **_states(trainer, job)}
    found |= {**evidence, **method.outcome(trainer, job, rows)}
    return found | {"speed": speed.measured(trainer, watch, job, found["tokens"], found.get("examples", len(rows)))}


def _states(trainer: Any, job: Job) -> dict[str, Any]:
    """Where the states are that are tried, if more than the end is."""
    if job.checkpoints == 1:
        return {}
    return {"checkpoints": [{"step": step} for step in steps_at(trainer.state.max_steps, job.checkpoints)]}


def _diverged(trainer: Any, job: Job, folder: Path, error: LossError) -> dict[str, Any]:
    """What a trial leaves that diverged: the model that it began with, and why."""
    if not trainer.is_world_process_zero():
        return {}
    shutil.rmtree(folder / OUT, ignore_errors=True)
    outputs.save_untrained(trainer, job, folder / OUT)
    found = {**outputs.summary(trainer), **_states(trainer, job), "final_loss": None}
    return found | {DIVERGED: f"after step {trainer.state.global_step}, {error}"}


def build(job: Job, folder: Path, writer: Writer | None = None) -> tuple[Any, datasets.Dataset]:
    """TRL's trainer for a job, before its first step, and the rows it was given. `writer` is for its checkpoints.

    Raises:
        PermanentError: TRL refuses the arguments.
    """
    _quiet()
    method = METHODS[job.method]
    config_class, trainer_class = method.classes()
    trainer_class = method.adapted(trainer_class, job)
    if writer is not None:
        trainer_class = overlapping(trainer_class, job, writer)
    # In files of the job's folder, not in memory: where there are several ranks, they share what one of them prepares.
    rows = datasets.Dataset.from_parquet(str(folder / ROWS), cache_dir=str(folder / "cache")).map(method.example)
    model, tokenizer = load(job, classifies=method.classifies)
    companions = method.companions(model, tokenizer, job)
    examples = method.examples(rows, tokenizer, job)
    try:
        config = config_class(**arguments(job, method, folder))
        sharding.in_precision(config, job)
        with method.tokenizing(tokenizer):
            trainer = trainer_class(
                model=model,
                args=config,
                train_dataset=examples,
                processing_class=tokenizer,
                peft_config=_lora(job, method),
                **companions,
            )
    except (TypeError, ValueError) as error:
        raise PermanentError(f"TRL refuses the arguments: {str(error).splitlines()[0]}") from error
    trainer.remove_callback(PrinterCallback)
    return method.changed(trainer), rows


def import_trl(job: Job) -> None:
    """Import TRL's classes of a job's method, which takes seconds. Raises PermanentError where there are none."""
    METHODS[job.method].classes()


def arguments(job: Job, method: Method, folder: Path) -> dict[str, Any]:
    """The TRL configuration's arguments: the spec's between our defaults and what we own."""
    owned: dict[str, Any] = {
        "output_dir": str(folder / CHECKPOINTS),
        "seed": job.seed,
        "use_cpu": not torch.cuda.is_available(),
        "bf16": job.precision == "bfloat16",
        "logging_strategy": "steps",
        "save_strategy": "no",
        "eval_strategy": "no",
        "report_to": job.report_to or "none",
        "run_name": job.run or None,
        "disable_tqdm": True,
        "trust_remote_code": job.trust_remote_code,
        **sharding.arguments(job),
    }
    if job.max_length is not None and method.cuts:
        owned["max_length"] = job.max_length
    given = {RENAMED.get(name, name): value for name, value in job.args.items()}
    return {**DEFAULTS, **given, **owned, **method.arguments(job)}


def _lora(job: Job, method: Method) -> Any:
    if job.lora is None:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=job.lora.r,
        lora_alpha=job.lora.alpha,
        lora_dropout=job.lora.dropout,
        target_modules=job.lora.target_modules,
        task_type="SEQ_CLS" if method.classifies else "CAUSAL_LM",
        modules_to_save=["score"] if method.classifies else None,
    )


def _quiet() -> None:
    """No progress bars: the worker reads messages, and a log of bars cannot be read."""
    os.environ["TQDM_DISABLE"] = "1"
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.WARNING)
