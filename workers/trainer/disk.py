"""What a training needs of its worker's disk, known from its model's files before it starts. No torch here."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.disk import Free, check_room, free_bytes
from workers.trainer.job import Job, Lora

WEIGHT = 4
"""Bytes of a weight, which is trained and saved in float32 whatever it was before."""
AT_ONCE = 2
"""Checkpoints that lie there together: one that is uploaded, and the next."""
ADAM = 8
"""Bytes that AdamW keeps for each trained weight."""
SMALLER = {"8bit": 2, "4bit": 1, "adafactor": 0, "sgd": 0, "lion": 4, "galore": 0, "apollo": 0, "muon": 4}
"""The same of other optimisers, by a part of the name in `optim`; the least, where it depends."""
EMBEDDINGS = ("embed", "lm_head", "wte", "wpe")

Shapes = Mapping[str, tuple[int, ...]]


def check_disk(folder: Path, job: Job, free: Free = free_bytes) -> None:
    """See that the training's checkpoints and its results fit on the disk of its folder.

    Raises:
        Outage: they do not; it says how much is needed.
    """
    if job.model.folder is not None:
        check_room(folder, needed(weight_shapes(Path(job.model.folder)), job), "the training's checkpoints", free)


def needed(shapes: Shapes, job: Job) -> int:
    """Bytes of a training's checkpoints (weights and optimiser) and of the weights that it leaves."""
    weights = sum(math.prod(shape) for shape in shapes.values())
    trained = weights if job.lora is None else _adapters(shapes, job.lora)
    return AT_ONCE * trained * (WEIGHT + _optimiser(job)) + weights * WEIGHT


def weight_shapes(folder: Path) -> dict[str, tuple[int, ...]]:
    """The shapes of a model folder's weights, by name. A GGUF file is taken for one weight a byte."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in folder.glob("*.safetensors"):
        # Of a damaged file nothing is known: whoever loads it says what is wrong.
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            shapes |= {name: tuple(told["shape"]) for name, told in _header(path).items() if name != "__metadata__"}
    return shapes or {path.name: (path.stat().st_size,) for path in folder.glob("*.gguf")}


def _header(path: Path) -> dict[str, Any]:
    """What a safetensors file says of itself: eight bytes of length, and JSON."""
    with path.open("rb") as file:
        length = min(int.from_bytes(file.read(8), "little"), path.stat().st_size)
        return dict(json.loads(file.read(length)))


def _adapters(shapes: Shapes, lora: Lora) -> int:
    """Weights of the adapters at every matrix but the embeddings: two of rank r each (Hu et al. 2021)."""
    matrices = [shape for name, shape in shapes.items() if len(shape) == 2 and not any(e in name for e in EMBEDDINGS)]
    return sum(lora.r * sum(shape) for shape in matrices)


def _optimiser(job: Job) -> int:
    name = str(job.args.get("optim", "adamw_torch"))
    return next((bytes_ for part, bytes_ in SMALLER.items() if part in name), ADAM)
