"""LoRA adapters that are not merged: a folder with adapter_config.json, and the base that it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import PermanentError

CONFIG = "adapter_config.json"


@dataclass(frozen=True)
class Adapter:
    """`base` is a hub's model, `revision` its commit or branch (None: the newest), `rank` the largest of its layers."""

    base: str
    revision: str | None
    rank: int


def read_adapter(folder: Path) -> Adapter | None:
    """What a folder's adapter says of itself; None where the folder is a whole model.

    Raises:
        PermanentError: it is no LoRA adapter, or names a folder of the machine that it was made on as its base.
    """
    path = folder / CONFIG
    if not path.exists() or (folder / "config.json").exists():
        return None
    try:
        config: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise PermanentError(f"{CONFIG} is no JSON: {error}") from error
    if config.get("peft_type") != "LORA":
        raise PermanentError(f"the adapter is of type {config.get('peft_type')}, and only LORA can be served")
    base = config.get("base_model_name_or_path")
    if not isinstance(base, str) or not base or base.startswith((".", "/", "~")) or base.count("/") > 1:
        raise PermanentError(
            f"{CONFIG} names the base {base!r}, which is no hub's model: write base_model_name_or_path as OWNER/NAME, "
            "or merge the adapter first"
        )
    ranks = [config.get("r", 0), *(config.get("rank_pattern") or {}).values()]
    return Adapter(base, config.get("revision"), max(int(rank) for rank in ranks))
