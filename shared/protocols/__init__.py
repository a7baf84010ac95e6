"""Evaluation protocols. To add one: a file here with an `Evaluation` subclass, and its line in PROTOCOLS."""

from __future__ import annotations

from shared.protocols.arena import Arena
from shared.protocols.base import Builder, Evaluation, TrainedArm
from shared.protocols.nll import Nll
from shared.protocols.pairwise import Pairwise
from shared.protocols.preference_accuracy import PreferenceAccuracy

PROTOCOLS: dict[str, type[Evaluation]] = {
    "pairwise": Pairwise,
    "arena": Arena,
    "preference_accuracy": PreferenceAccuracy,
    "nll": Nll,
}

__all__ = ["PROTOCOLS", "Builder", "Evaluation", "TrainedArm"]
