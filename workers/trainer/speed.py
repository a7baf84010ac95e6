"""How fast a training was, and how much memory it took: of its loop alone, in this process."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from shared.devices import Arithmetic, peak_flops
from workers.trainer.job import Job

FLOPS_PER_WEIGHT = 6.0
"""Of a weight and a token, forwards and backwards (Kaplan et al. 2020, arXiv 2001.08361); attention's own left out."""
FLOPS_PER_FROZEN_WEIGHT = 4.0
"""Of a weight beneath adapters: it gets no gradient, it only passes one on."""


class Stopwatch(TrainerCallback):
    """The seconds of TRL's loop in this process, and how far the training was when it began."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.first_step = 0
        self.first_epoch = 0.0
        self._began = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.first_step = state.global_step
        self.first_epoch = float(state.epoch or 0.0)
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        self._began = time.monotonic()

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self.seconds = time.monotonic() - self._began


def measured(trainer: Any, watch: Stopwatch, job: Job, tokens: int, examples: int) -> dict[str, Any]:
    """What a training's metrics say of its speed.

    Args:
        tokens: of the whole training, prompts' included, padding not.
        examples: of an epoch.

    Returns seconds, steps, samples_per_second, tokens_per_second and peak_memory_bytes (of the device, or of the
    process on a CPU); and where the device's peak is known, mfu: the share of its FLOP/s that the training used
    (Chowdhery et al. 2022, arXiv 2204.02311, without attention's part, so a little less than theirs).
    """
    state = trainer.state
    done = float(state.epoch or 0.0) - watch.first_epoch
    seconds = max(watch.seconds, 1e-9)
    share = done / state.epoch if state.epoch else 0.0
    found = forward(trainer, watch.seconds, tokens * share, done * examples)
    found["steps"] = state.global_step - watch.first_step
    # Weights in 4 bits cannot be counted by their numbers here.
    counted = job.lora is None or job.lora.quantize is None
    peak = peak_flops(found["device"], _arithmetic(job)) if _on_gpu(trainer) and counted else None
    if peak is not None:
        each = flops_per_token(trainer.accelerator.unwrap_model(trainer.model))
        found["mfu"] = _rounded(tokens * share / seconds * each / (peak * found["devices"]))
    return found


def _on_gpu(trainer: Any) -> bool:
    return bool(torch.cuda.is_available() and not trainer.args.use_cpu)


def forward(trainer: Any, seconds: float, tokens: float, examples: float) -> dict[str, Any]:
    """The same of forward passes alone, without steps and mfu: tokens and examples are those of `seconds`."""
    on_gpu = _on_gpu(trainer)
    return {
        "device": torch.cuda.get_device_name() if on_gpu else "cpu",
        "devices": int(trainer.args.world_size),
        "seconds": round(seconds, 3),
        "samples_per_second": _rounded(examples / max(seconds, 1e-9)),
        "tokens_per_second": _rounded(tokens / max(seconds, 1e-9)),
        "peak_memory_bytes": torch.cuda.max_memory_allocated() if on_gpu else _peak_of_process(),
    }


def flops_per_token(model: Any) -> float:
    """Floating-point operations that a token takes in a training step, forwards and backwards, in matrix products.

    An embedding is looked up, not multiplied with, unless it is the output layer too.
    """
    embedding, output = model.get_input_embeddings().weight, model.get_output_embeddings()
    looked_up = output is None or output.weight is not embedding
    total = 0.0
    for weight in model.parameters():
        if weight is embedding and looked_up:
            continue
        total += weight.numel() * (FLOPS_PER_WEIGHT if weight.requires_grad else FLOPS_PER_FROZEN_WEIGHT)
    return total


def _arithmetic(job: Job) -> Arithmetic:
    if job.precision == "bfloat16":
        return "bfloat16"
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "float32"


def _peak_of_process() -> int:
    """Bytes; Linux counts in kilobytes, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")
