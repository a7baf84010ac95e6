"""A simulated critic: prefers by the true reward, and errs as its settings say."""

from __future__ import annotations

from typing import Literal

from shared.world.draws import uniform
from shared.world.models import CriticSettings
from shared.world.reward import reward

Verdict = Literal["a", "b", "tie"]


def prefer(settings: CriticSettings, prompt: str, answer_a: str, answer_b: str, seed: int = 0) -> Verdict:
    """Which of two answers the critic says is better, when shown in this order; `seed` is the request's.

    Position bias belongs to the showing: it is drawn anew when the order is turned, so a critic may contradict
    itself. Length bias and error belong to the pair, as with a model that holds a wrong opinion: they stay when the
    order is turned, and asking in both orders does not average them away. Equal rewards are a tie.

    Raises `BadInput` for a prompt of another world.
    """
    who = (settings.role, settings.seed, seed, prompt)
    if settings.position_bias and uniform("position", *who, answer_a, answer_b) < settings.position_bias:
        return "a"
    pair = sorted((answer_a, answer_b))
    longer = len(answer_a) - len(answer_b)
    if settings.length_bias and longer and uniform("length", *who, *pair) < settings.length_bias:
        return "a" if longer > 0 else "b"
    difference = reward(prompt, answer_a) - reward(prompt, answer_b)
    if difference == 0:
        return "tie"
    errs = settings.error_rate > 0 and uniform("error", *who, *pair) < settings.error_rate
    return "a" if (difference > 0) != errs else "b"


def rate(settings: CriticSettings, prompt: str, answer: str, seed: int = 0) -> float:
    """How good the critic says that one answer is, 0 to 1: its true reward, or with chance `error_rate` one minus it.

    An answer shown alone has no place and none to be longer than. Raises `BadInput` for a prompt of another world.
    """
    errs = settings.error_rate > 0
    errs = errs and uniform("rating", settings.role, settings.seed, seed, prompt, answer) < settings.error_rate
    true = reward(prompt, answer)
    return 1 - true if errs else true
