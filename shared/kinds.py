"""The kinds of stages: which queue does each, its format's version, and the rows it is cut into shards by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from shared.artifacts import Manifest
from shared.splits import rows_between

Queue = Literal["teacher", "critic", "inference", "trainer", "analysis"]
QUEUES: tuple[Queue, ...] = ("teacher", "critic", "inference", "trainer", "analysis")

MOST_GPUS = 64
"""Of one training."""


def trainer_queue(gpus: int) -> str:
    """The queue of trainings on so many GPUs: `trainer`, `trainer.2gpu` and so on. A worker serves one."""
    return "trainer" if gpus == 1 else f"trainer.{gpus}gpu"


TRAINER_QUEUES = tuple(trainer_queue(gpus) for gpus in range(1, MOST_GPUS + 1))


@dataclass(frozen=True)
class Kind:
    """One kind of stage. `version` is part of every key: raise it when what the stage writes changes its meaning."""

    name: str
    queue: Queue
    version: int = 1
    sharded: bool = False


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("prompts", "teacher"),
        Kind("teach", "teacher", sharded=True),
        Kind("pretrain", "trainer"),
        Kind("sft", "trainer"),
        Kind("sample", "inference"),
        Kind("score", "inference"),
        Kind("reward", "inference"),
        Kind("best", "inference"),
        Kind("label", "critic", version=2, sharded=True),
        Kind("reference", "trainer"),
        Kind("rl", "trainer"),
        Kind("reward_model", "trainer"),
        Kind("judge", "critic", version=2, sharded=True),
        Kind("checkpoint", "analysis"),
        Kind("choose", "analysis"),
        Kind("bandit", "analysis"),
        Kind("report", "analysis", version=3),
    )
}


def queue_of(kind: str, options: Mapping[str, Any]) -> str:
    """The queue of a stage, by its kind and, of a training, by the hardware that its options ask for."""
    queue = KINDS[kind].queue
    return trainer_queue(int(options.get("gpus", 1))) if queue == "trainer" else queue


def row_count(kind: str, params: Mapping[str, Any], inputs: Mapping[str, Manifest]) -> int | None:
    """How many rows a stage of a sharded kind has, from its inputs' manifests; None if it is done as one."""
    if not KINDS[kind].sharded:
        return None
    if "samples" in inputs:
        metrics = inputs["samples"].metrics
        return int(metrics["prompts"]) if "prompts" in metrics else None
    if "prompts" in inputs and "split" in params:
        total = int(inputs["prompts"].metrics[params["split"]])
        start, stop = rows_between(total, params.get("start", 0.0), params.get("stop", 1.0))
        return stop - start
    return None
