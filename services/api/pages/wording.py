"""Plain words for what an experiment says, for a reader who never saw the paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Level:
    """A verdict's level: its name, what it means, and what could change it."""

    name: str
    meaning: str
    change: str


LEVELS = {
    "rl_adds_value": Level(
        "RL adds value",
        "The RL step was worth its cost here: even the low end of what the data allow lies above the gain that would "
        "justify it.",
        "A higher threshold, or another base model, critic, judge or set of prompts: the effect differs between them.",
    ),
    "sft_suffices": Level(
        "SFT suffices",
        "The RL step was not worth its cost here: even the high end of what the data allow stays below the gain that "
        "would justify it, and fine-tuning on written answers does without it.",
        "A lower threshold, or another base model, critic, judge or set of prompts: the effect differs between them.",
    ),
    "inconclusive": Level(
        "Inconclusive",
        "Whether the RL step was worth its cost these data cannot tell: the true difference may lie on either side of "
        "the gain that would justify it, or two judges contradict each other.",
        "More prompts or more training runs, or a threshold further from the measured difference.",
    ),
    "invalid": Level(
        "Invalid",
        "The measurement is flawed, so no number below answers the question.",
        "Mending what is named below, then running the evaluation again.",
    ),
    "pending": Level(
        "Not decided yet",
        "Not all judgements are in. The level is given when they are, and not before: looking early and stopping "
        "at a lucky moment would make the error bars wrong.",
        "Nothing to do: this page follows the experiment.",
    ),
}
MECHANISM = Level(
    "A mechanism",
    "A simulation of policies over numbered actions: nothing is trained and nobody asked. It shows how RL from a weak "
    "start can stay behind, and says nothing of how often it does.",
    "An experiment that trains a model: this one cannot decide anything.",
)
"""In the place of a level, where the experiment is a bandit."""
TERMS = (
    "SFT, supervised fine-tuning, trains a model on answers that a teacher wrote. RL, reinforcement learning, then "
    "goes on with a critic's preferences between two answers of the model's own. A point is one percent of a win rate."
)
SCOPES = {
    "recipe": "It speaks of the recipe: each arm was trained three times or more, so another run is expected to agree.",
    "checkpoints": "It speaks of these trained models only: with fewer than three runs of an arm, another may differ.",
}
ARMS = {
    "sft-weak": "fine-tuned on the weak teacher's answers to all training prompts",
    "sft-strong": "fine-tuned on the strong teacher's answers to all training prompts",
    "start-weak": "fine-tuned on the weak teacher's answers to a part of the prompts; where RL starts",
    "start-strong": "fine-tuned on the strong teacher's answers to a part of the prompts; where RL starts",
    "rlaif-weak": "started from the weak teacher's answers, then RL on the critic's preferences",
    "rlaif-strong": "started from the strong teacher's answers, then RL on the critic's preferences",
    "swap-arm": "started from the weak teacher's answers, then fine-tuned on the strong teacher's",
    "chosen-arm": "the same start, then fine-tuned on the answers that the critic chose",
    "best-of-n-arm": "the same start, then fine-tuned on the best of its own answers",
    "random-labels-arm": "the same start and pairs, then RL on labels drawn by a coin",
    "length-matched-arm": "the same start, then RL on pairs of about the same length",
}
CONTRASTS = {
    "headline": "Which recipe: RL from a weak start, or fine-tuning on the strong teacher?",
    "added": "With the strong teacher: RL, or more of its answers?",
    "net-weak": "With the weak teacher: RL, or more of its answers?",
    "gain-weak": "What RL adds to its weak start",
    "gain-strong": "What RL adds to its strong start",
    "vanishing": "How much of RL's gain is gone once the teacher is strong",
    "swap": "Same start and strong model: only the signal differs",
    "distill": "What RL from labels is worth beside learning a teacher's probabilities",
    "chosen": "What RL adds to fine-tuning on the answers that the critic chose",
    "best-of-n": "What RL adds to fine-tuning on the best of several answers",
    "random-labels": "What of RL's gain is the critic's, not that of training on its own answers",
    "length-matched": "What of RL's gain goes with pairs of unlike length",
    "teacher": "What a stronger teacher alone is worth",
}
KINDS = {
    "prompts": "Choose prompts",
    "teach": "Teacher answers",
    "pretrain": "Make a base model",
    "sft": "Fine-tune (SFT)",
    "sample": "Model answers",
    "score": "Score likelihoods",
    "reward": "Score by reward model",
    "best": "Keep the best samples",
    "label": "Critic labels pairs",
    "reference": "Reference log-probabilities",
    "rl": "RL step",
    "reward_model": "Train a reward model",
    "judge": "Judge compares",
    "checkpoint": "Take a checkpoint",
    "choose": "Choose on dev",
    "bandit": "Simulate the bandit",
    "report": "Write the report",
}
SHORT = {
    "prompts": "Prompts",
    "teach": "Teacher",
    "pretrain": "Base model",
    "sft": "SFT",
    "sample": "Answers",
    "score": "Likelihoods",
    "reward": "Rewards",
    "best": "Best ones",
    "label": "Critic",
    "reference": "Reference",
    "rl": "RL step",
    "reward_model": "Reward model",
    "judge": "Judge",
    "checkpoint": "Checkpoint",
    "choose": "Choice",
    "bandit": "Bandit",
    "report": "Report",
}
"""Kinds of stages in a word, for drawings."""
STATES = {
    "running": "Running",
    "paused": "Paused: the budget is spent",
    "succeeded": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled",
}


def number(value: float | None, digits: int = 1) -> str:
    """A number as it is read: `−3.1`; never `-0.0`."""
    if value is None:
        return "–"
    text = f"{value:.{digits}f}"
    return (f"{0:.{digits}f}" if float(text) == 0 else text).replace("-", "−")


def between(ends: Sequence[float | None], digits: int = 1) -> str:
    """An interval as it is read: `−3.1 to 2.0`; empty where one run of what is not sampled has none."""
    low, high = ends
    return "" if low is None or high is None else f"{number(low, digits)} to {number(high, digits)}"


def money(usd: float | None) -> str:
    """US dollars: `$1,204.50`, `$0.0042`; `–` where it is not known."""
    if usd is None:
        return "–"
    sign, size = ("−" if usd < 0 else ""), abs(usd)
    return f"{sign}${size:,.2f}" if size == 0 or size >= 0.1 else f"{sign}${size:.4f}"


def duration(seconds: float) -> str:
    """A length of time as it is read: `0.4 s`, `12 s`, `7 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
