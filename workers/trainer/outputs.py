"""What a finished training leaves: a model folder for `from_pretrained`, its curve, its settings, its versions."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from shared import records
from workers.trainer import adapter
from workers.trainer.failures import LossError
from workers.trainer.job import Job
from workers.trainer.loading import load, load_whole

LIBRARIES = ("accelerate", "datasets", "numpy", "peft", "safetensors", "tokenizers", "torch", "transformers", "trl")
# Of one run or one machine, and so no part of what was trained.
LOCAL = frozenset({"output_dir", "run_name", "hub_token", "local_rank", "logging_dir", "report_to"})
# Of one run too: the same training has the same curve.
TIMES = frozenset({"step_time"})
LAST_ROWS = 10


def save(trainer: Any, job: Job, out: Path) -> None:
    """Write the model folder and the training's files; adapters are merged, and kept in a folder of their own below.

    Raises:
        LossError: a weight is not finite.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    if hasattr(model, "merge_and_unload"):
        adapter.keep(model, job.model, out / adapter.FOLDER)
        quantized = job.lora is not None and job.lora.quantize is not None
        model = merged_whole(job, out / adapter.FOLDER) if quantized else model.merge_and_unload()
    _write(trainer, model, out)


def save_state(trainer: Any, job: Job, out: Path) -> None:
    """The same of a training that goes on, which learns nothing of it: its adapters are merged into another copy.

    Raises:
        LossError: a weight is not finite.
    """
    model = trainer.accelerator.unwrap_model(trainer.model)
    cached = model.config.use_cache
    devices = range(torch.cuda.device_count()) if torch.cuda.is_available() else ()
    with torch.random.fork_rng(devices=devices):
        whole = model
        if job.lora is not None:
            adapter.keep(model, job.model, apart := out.with_name(f"{out.name}-adapter"))
            whole = merged_whole(job, apart)
        _write(trainer, whole, out)
    model.config.use_cache = cached
    shutil.rmtree(out.with_name(f"{out.name}-adapter"), ignore_errors=True)


def save_untrained(trainer: Any, job: Job, out: Path) -> None:
    """The model that a training began with, beside the curve of its own."""
    model, _ = load(job)
    _write(trainer, model, out)


def _write(trainer: Any, model: Any, out: Path) -> None:
    if not all(bool(torch.isfinite(parameter).all()) for parameter in model.parameters()):
        raise LossError("the trained weights are not finite: lower learning_rate, or set max_grad_norm")
    out.mkdir(parents=True, exist_ok=True)
    # TRL trains without a cache; who samples wants one.
    model.config.use_cache = True
    model.save_pretrained(out)
    trainer.processing_class.save_pretrained(out)
    (out / "loss.parquet").write_bytes(records.to_bytes(curve(trainer.state.log_history)))
    settings = {name: value for name, value in trainer.args.to_dict().items() if name not in LOCAL}
    _write_json(out / "trl_config.json", {"trainer": type(trainer).__name__, "config": settings})
    _write_json(out / "versions.json", versions())


def merged_whole(job: Job, folder: Path) -> Any:
    """The adapter in `folder` merged into the weights as they were before they were rounded to 4 bits, in float32."""
    from peft import PeftModel

    return PeftModel.from_pretrained(load_whole(job), folder).merge_and_unload()


def curve(history: list[dict[str, Any]]) -> pa.Table:
    """The logged rows: step int32, loss float64, and float64 columns of whatever else the trainer logged.

    Among them learning_rate and grad_norm, and of DPO rewards/margins, rewards/accuracies and their like.
    """
    rows = [row for row in history if "loss" in row]
    names = sorted({name for row in rows for name, value in row.items() if isinstance(value, int | float)})
    others = [name for name in names if name not in {"step", "loss"} | TIMES]
    columns = {"step": pa.array([row["step"] for row in rows], pa.int32())}
    for name in ["loss", *others]:
        columns[name] = pa.array([row.get(name) for row in rows], pa.float64())
    return pa.table(columns)


def summary(trainer: Any) -> dict[str, Any]:
    """Steps, tokens (prompts' included, padding not), epochs, parameters, and the mean of the last logged losses."""
    rows = [row for row in trainer.state.log_history if "loss" in row]
    last = [row["loss"] for row in rows[-LAST_ROWS:]]
    return {
        "steps": trainer.state.global_step,
        "epochs": trainer.state.epoch,
        "tokens": int(rows[-1].get("num_tokens", 0)) if rows else 0,
        "parameters": sum(parameter.numel() for parameter in trainer.model.parameters()),
        "final_loss": sum(last) / len(last) if last else None,
    }


def versions() -> dict[str, str]:
    """What the weights may depend on beside the job: libraries, Python, and the kind of device."""
    device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "cpu"
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "device": device, **libraries}


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
