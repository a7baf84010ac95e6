"""What a spec may say of TRL's own arguments: their names and types, from a generated file: TRL is not needed."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from typing import Any

from shared.errors import FieldError

BATCH, ACCUMULATION = "per_device_train_batch_size", "gradient_accumulation_steps"
AT_ONCE = "precompute_ref_batch_size"
"""How many pairs of a reference are in memory at once on a device; BATCH where it is not given."""
USUAL = {BATCH: 8, ACCUMULATION: 1}
"""TRL's own values of the two."""

PLAIN: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "dict": (dict,),
    "list": (list,),
    "None": (type(None),),
}


@cache
def trl_arguments() -> dict[str, Any]:
    """TRL's methods and arguments, from the generated file (`python -m workers.trainer.arguments`)."""
    data: dict[str, Any] = json.loads(resources.files("shared").joinpath("trl_arguments.json").read_text())
    return data


def check_arguments(field: str, method: str, args: Mapping[str, Any]) -> Iterator[FieldError]:
    """What is wrong with a method's arguments, given under `field` of a spec."""
    known = trl_arguments()
    entry = known["methods"][method]
    for name, value in args.items():
        if name in entry["owned"]:
            yield FieldError(f"{field}.{name}", "is set by Touchstone itself", "Remove it.")
        elif name not in entry["arguments"]:
            near = difflib.get_close_matches(name, entry["arguments"], n=1)
            fix = f"Did you mean {near[0]}?" if near else f"See TRL {known['trl']}'s {entry['config']}."
            yield FieldError(f"{field}.{name}", f"TRL's {entry['config']} has no such argument", fix)
        elif not fits(value, entry["arguments"][name]):
            fix = f"Write a value of type {entry['arguments'][name].replace(' | ', ' or ')}."
            yield FieldError(f"{field}.{name}", f"{value!r:.60} is not what TRL takes", fix)
        else:
            yield from check_choice(f"{field}.{name}", method, name, value)


def check_choice(field: str, method: str, name: str, value: Any) -> Iterator[FieldError]:
    """Whether a value, or each of a list, is one of those that TRL says an argument takes."""
    known = trl_arguments()["methods"][method].get("choices", {}).get(name)
    for one in (value if isinstance(value, list) else [value]) if known else ():
        if one is not None and one not in known:
            near = difflib.get_close_matches(str(one), known, n=1)
            fix = f"Did you mean {near[0]}?" if near else f"Use one of: {', '.join(known)}."
            yield FieldError(field, f"{one!r:.60} is not what TRL takes", fix)


def batch_of(args: Mapping[str, Any]) -> tuple[int, int]:
    """How many examples are in memory at once on a device, and how many times that a step takes."""
    batch, times = (int(args.get(name, usual)) for name, usual in USUAL.items())
    return batch, times


def fits(value: Any, wanted: str) -> bool:
    """Whether a JSON value is of a type as the generated file writes it (`float | None`, `list[str]`).

    What a list or mapping holds is left to TRL, and so is a type of its own.
    """
    names = [part.partition("[")[0] for part in wanted.split(" | ")]
    if isinstance(value, bool):
        return "bool" in names
    return any(isinstance(value, PLAIN[name]) for name in names if name in PLAIN)
