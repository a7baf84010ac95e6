"""A reward model (Bradley and Terry 1952, as in arXiv 2203.02155): a classifier that learns a critic's labelled pairs.

Pairs of a share of the prompts are held out, chosen by the prompts' hashes: how often the model agrees with the critic
about them is in the metrics, since what it says of the pairs it was trained on tells nothing.
"""

from __future__ import annotations

from typing import Any, ClassVar

from shared.canonical import sha256_hex
from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods.pairs import Pairs


class Reward(Pairs):
    """TRL's RewardTrainer, from an SFT start whose head is replaced by one output."""

    name: ClassVar[str] = "reward"
    config: ClassVar[str] = "RewardConfig"
    trainer: ClassVar[str] = "RewardTrainer"
    classifies: ClassVar[bool] = True
    owned: ClassVar[frozenset[str]] = frozenset({"chat_template_path", "eos_token"})

    def examples(self, rows: Any, tokenizer: Any, job: Job) -> Any:
        out = held_out([text(row) for row in rows], job.holdout)
        return rows.filter(lambda row: text(row) not in out)

    def arguments(self, job: Job) -> dict[str, Any]:
        return {}

    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        out = held_out([text(row) for row in rows], job.holdout)
        given = sum(text(row) not in out for row in rows)
        left = len(trainer.train_dataset)
        if not left:
            raise PermanentError(f"max_length {trainer.args.max_length} is less than every pair's longer completion")
        return {"examples": left, "pairs": left, "dropped": given - left}

    def outcome(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]:
        from workers.trainer import rewards

        out = held_out([text(row) for row in rows], job.holdout)
        pairs = [row for row in rows if text(row) in out]
        model = trainer.accelerator.unwrap_model(trainer.model)
        sides = [
            rewards.scores(
                model,
                trainer.processing_class,
                [(text(row), row[side][0]["content"]) for row in pairs],
                trainer.args.max_length,
            )
            for side in ("chosen", "rejected")
        ]
        # Two equal rewards are a coin's throw.
        right = [0.5 if a == b else float(a > b) for a, b in zip(*sides, strict=True)]
        return {"held_out": {"pairs": len(pairs), "prompts": len(out), "accuracy": sum(right) / len(right)}}


def text(row: dict[str, Any]) -> str:
    """The prompt of an example."""
    return str(row["prompt"][0]["content"])


def held_out(prompts: list[str], share: float) -> frozenset[str]:
    """The prompts whose pairs are not trained on: a share of the different ones, at least one.

    Raises:
        PermanentError: fewer than two different prompts.
    """
    different = sorted(set(prompts), key=sha256_hex)
    if len(different) < 2:
        raise PermanentError("preferences: all pairs are of one prompt, and a reward model is measured on another")
    count = min(max(1, round(share * len(different))), len(different) - 1)
    return frozenset(different[:count])
