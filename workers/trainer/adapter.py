"""The adapter of a LoRA training, kept beside the merged weights as peft loads it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from workers.trainer.job import ModelSource

FOLDER = "adapter"
"""Below the model's folder: in it, transformers would take the whole model for an adapter."""
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def keep(model: Any, base: ModelSource, folder: Path) -> None:
    """Write the adapter of `model` into a new folder, the same bytes for the same training; `base` is what it was
    trained on, and named where others can find it by that name (a hub's, at its commit)."""
    # With True or "auto" peft asks the hub whether the base's embeddings were changed. They never are.
    model.save_pretrained(folder, save_embedding_layers=False)
    for path in folder.iterdir():
        if path.name not in {WEIGHTS, CONFIG}:
            path.unlink()
    config = json.loads((folder / CONFIG).read_text())
    config |= {"base_model_name_or_path": base.hub, "revision": base.revision}
    # A set of peft's, in whatever order.
    if isinstance(config.get("target_modules"), list):
        config["target_modules"] = sorted(config["target_modules"])
    (folder / CONFIG).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
