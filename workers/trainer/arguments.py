"""Writes `shared/trl_arguments.json`: the arguments of TRL that a spec may set. `python -m workers.trainer.arguments`

The API and the conductor check specs against that file, since they must not need TRL. A test keeps it current.
"""

from __future__ import annotations

import dataclasses
import json
import re
import typing
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from shared.errors import PermanentError
from workers.trainer.methods import METHODS
from workers.trainer.methods.base import Method
from workers.trainer.methods.owned import is_owned

TARGET = Path(__file__).resolve().parents[2] / "shared" / "trl_arguments.json"
SCHEMA = "touchstone/trl-arguments/1"


def describe() -> dict[str, Any]:
    """The installed TRL's arguments, for every method that it has: those that a spec may set with their types and the
    values that TRL says it takes, and the owned."""
    import trl

    methods = {}
    for name, method in METHODS.items():
        # An experimental method that this TRL lacks is refused in a spec.
        with suppress(PermanentError):
            methods[name] = _method(method, method.classes()[0])
    return {"schema": SCHEMA, "trl": trl.__version__, "methods": methods}


def _method(method: Method, config: type) -> dict[str, Any]:
    hints = typing.get_type_hints(config)
    names = sorted(field.name for field in dataclasses.fields(config) if field.init)
    owned = [name for name in names if name in method.owned or is_owned(name)]
    free = {name: _type_name(hints[name]) for name in names if name not in owned}
    values = {field.name: _choices(field.metadata) for field in dataclasses.fields(config) if field.name in free}
    choices = {name: given for name, given in values.items() if given}
    return {"config": method.config, "arguments": free, "choices": choices, "owned": owned}


def _choices(metadata: Mapping[str, Any]) -> list[str]:
    """The values that TRL says an argument takes, as data or in the words of its help; none where it says none."""
    if metadata.get("choices"):
        return sorted(metadata["choices"])
    said = re.search(r"(?:Possible values are:|Supported values are) (.+?)\.(?:\s|$)", metadata.get("help", ""))
    return [] if said is None else sorted(re.findall(r"[`']+(\w+)[`']+", said.group(1)))


def _type_name(hint: Any) -> str:
    """A type as a person writes it: `int`, `float | None`."""
    arguments = typing.get_args(hint)
    origin = typing.get_origin(hint)
    if arguments and (origin is None or origin in {typing.Union, type(int | str)}):
        return " | ".join(sorted({_type_name(part) for part in arguments} - {"None"})) + (
            " | None" if type(None) in arguments else ""
        )
    if hint is type(None):
        return "None"
    return hint.__name__ if isinstance(hint, type) and not arguments else str(hint).replace("typing.", "")


def to_json(description: dict[str, Any]) -> str:
    return json.dumps(description, indent=1, sort_keys=True) + "\n"


if __name__ == "__main__":
    TARGET.write_text(to_json(describe()))
