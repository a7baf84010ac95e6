"""Evaluation protocols. To add one: a file here with an `Evaluation` subclass, and its line in PROTOCOLS."""

from __future__ import annotations

from shared.protocols.alpaca_eval import AlpacaEval
from shared.protocols.arena import Arena
from shared.protocols.base import Builder, Evaluation, JudgedArm
from shared.protocols.length_controlled import LengthControlled
from shared.protocols.mt_bench import MtBench
from shared.protocols.nll import Nll
from shared.protocols.pairwise import Pairwise
from shared.protocols.preference_accuracy import PreferenceAccuracy
from shared.protocols.reward_model import Reward
from shared.protocols.verifiable import Verifiable

PROTOCOLS: dict[str, type[Evaluation]] = {
    "pairwise": Pairwise,
    "alpaca_eval": AlpacaEval,
    "length_controlled": LengthControlled,
    "arena": Arena,
    "preference_accuracy": PreferenceAccuracy,
    "nll": Nll,
    "verifiable": Verifiable,
    "reward_model": Reward,
    "mt_bench": MtBench,
}

__all__ = ["PROTOCOLS", "Builder", "Evaluation", "JudgedArm"]
