"""A checkpoint as TGI reads it. TGI 3.3.7 has transformers 4; our checkpoints are written by transformers 5.

What differs would be silent: a base of rotary embeddings that is not found is taken for 10,000, and a chat template in
a file of its own is not looked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from shared.errors import PermanentError

TEMPLATE = "chat_template.jinja"
# Of the process that saved it; transformers 4 would hand them to a tokenizer that does not know them.
FIVE_ONLY = ("backend", "is_local", "local_files_only")


def tgi_folder(folder: Path, into: Path, template: str | None) -> Path:
    """`into`, made of links to the folder's files and rewritten configurations; `template` is used over its own."""
    into.mkdir(parents=True)
    for path in sorted(folder.iterdir()):
        if path.is_file() and path.name not in {"config.json", "tokenizer_config.json", TEMPLATE}:
            (into / path.name).symlink_to(path.resolve())
    _rewrite(folder, into, "config.json", config_of_four)
    own = (folder / TEMPLATE).read_text() if (folder / TEMPLATE).exists() else None
    _rewrite(folder, into, "tokenizer_config.json", lambda config: tokenizer_of_four(config, template or own))
    return into


def config_of_four(config: dict[str, Any]) -> dict[str, Any]:
    """A model's configuration with rotary embeddings and dtype where transformers 4 looks for them.

    Raises:
        PermanentError: it has none there for what the model has.
    """
    made = dict(config)
    rope = config.get("rope_parameters")
    # Of models with several kinds of layers it is a table for each kind, and transformers 4 has other names for those.
    if isinstance(rope, dict) and rope and "rope_theta" not in rope and "rope_theta" not in config:
        raise PermanentError("TGI cannot read this model's rotary embeddings, one for each kind of layer: use vllm")
    if isinstance(rope, dict) and "rope_theta" in rope:
        made.setdefault("rope_theta", rope["rope_theta"])
        if rope.get("rope_type", "default") != "default":
            made.setdefault("rope_scaling", {name: value for name, value in rope.items() if name != "rope_theta"})
    if "dtype" in config:
        made.setdefault("torch_dtype", config["dtype"])
    return made


def tokenizer_of_four(config: dict[str, Any], template: str | None) -> dict[str, Any]:
    """A tokenizer's configuration with its chat template within, and a class that transformers 4 has."""
    made = {name: value for name, value in config.items() if name not in FIVE_ONLY}
    if made.get("tokenizer_class") == "TokenizersBackend":
        made["tokenizer_class"] = "PreTrainedTokenizerFast"
    if template is not None:
        made["chat_template"] = template
    return made


def _rewrite(folder: Path, into: Path, name: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    if (folder / name).exists():
        (into / name).write_text(json.dumps(change(json.loads((folder / name).read_text())), indent=2) + "\n")
