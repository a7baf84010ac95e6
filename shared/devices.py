"""How fast a GPU can multiply at most, so that a training can say how much of it it used. Nobody knows it of a CPU.

`device_peaks.csv` has dense (not sparse) TFLOP/s, with accumulation in float32, by words of the device's name.
"""

from __future__ import annotations

import csv
import re
from functools import cache
from importlib import resources
from typing import Literal

Arithmetic = Literal["bfloat16", "tf32", "float32"]
OTHERS = frozenset({"laptop", "mig", "nvl", "grid", "ti", "super", "d", "max"})
"""Words by which a slice of a device, or one of another speed, has a known one's name."""


def peak_flops(device: str, arithmetic: Arithmetic) -> float | None:
    """The most floating-point operations a second of a device of this name; None where the table has none of it.

    Of several rows the one that says most of the name counts: `H100 PCIe` before `H100`.
    """
    said = set(_words(device))
    if not OTHERS.isdisjoint(said):
        return None
    known = [(name, row) for name, row in _table().items() if set(_words(name)) <= said]
    if not known:
        return None
    _, row = max(known, key=lambda one: len(_words(one[0])))
    return float(row[arithmetic]) * 1e12


def _words(name: str) -> list[str]:
    """`NVIDIA A100-SXM4-80GB` -> nvidia, a100, sxm4, 80gb: `A10` is no part of it."""
    return re.findall(r"[a-z0-9]+", name.lower())


@cache
def _table() -> dict[str, dict[str, str]]:
    text = resources.files("shared").joinpath("device_peaks.csv").read_text()
    return {row["device"]: row for row in csv.DictReader(text.splitlines())}
