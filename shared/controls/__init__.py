"""Controls of an RL arm: arms that differ from it in one thing, and so tell what its gain is made of.

To add one: a file here with a `Control` subclass, and its line in CONTROLS.
"""

from __future__ import annotations

from shared.controls.base import Builder, Control, Started
from shared.controls.best_of_n import BestOfN
from shared.controls.length_matched import LengthMatched
from shared.controls.random_labels import RandomLabels
from shared.controls.sft_on_chosen import SftOnChosen
from shared.controls.swap import Swap

CONTROLS: dict[str, type[Control]] = {
    "sft_on_chosen": SftOnChosen,
    "best_of_n": BestOfN,
    "swap": Swap,
    "random_labels": RandomLabels,
    "length_matched": LengthMatched,
}

__all__ = ["CONTROLS", "Builder", "Control", "Started"]
