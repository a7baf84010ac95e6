"""Proves that DPO's and KTO's reference is the start: its log-probabilities are the handed weights' own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from shared.errors import PermanentError
from workers.trainer.job import Job

ROWS = 4
# Nats, times the square root of the number of tokens: batches and kernels differ by rounding alone, at random; another
# model's log-probabilities differ in proportion to the tokens.
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.1}


def prove(trainer: Any, job: Job) -> dict[str, Any]:
    """Compare the reference's log-probabilities of a few rows with the start's own, computed one row at a time.

    Called before the first step, when the policy's weights are the start's.

    Raises:
        PermanentError: they differ by more than rounding.
    """
    table = trainer.train_dataset
    checked = table.select(range(min(ROWS, len(table))))
    worst = 0.0
    for row in checked:
        for name, (own, tokens) in log_probabilities(trainer, job, row).items():
            worst = max(worst, _compared("DPO", name, job, own, row[f"ref_{name}_logps"], tokens))
    means = {name: sum(table[f"ref_{name}_logps"]) / len(table) for name in ("chosen", "rejected")}
    return {
        "reference": {
            "rows_checked": len(checked),
            "largest_difference": worst,
            "mean_chosen_logp": means["chosen"],
            "mean_rejected_logp": means["rejected"],
        }
    }


def prove_unpaired(trainer: Any, job: Job) -> dict[str, Any]:
    """The same of a KTO trainer, whose rows are single completions.

    Raises:
        PermanentError: they differ by more than rounding.
    """
    table = trainer.train_dataset
    checked = table.select(range(min(ROWS, len(table))))
    worst = 0.0
    for row in checked:
        logps = _token_logps(trainer, job, row["prompt_ids"], row["completion_ids"])
        name = "good" if row["label"] else "bad"
        worst = max(worst, _compared("KTO", name, job, float(logps.sum()), row["ref_logps"], len(logps)))
    mean = sum(table["ref_logps"]) / len(table)
    return {"reference": {"rows_checked": len(checked), "largest_difference": worst, "mean_logp": mean}}


def _compared(method: str, which: str, job: Job, own: float, given: float, tokens: int) -> float:
    """How far the reference is from the start, in nats."""
    if not abs(own - given) <= TOLERANCE[job.precision] * math.sqrt(max(tokens, 1)):
        raise PermanentError(
            f"{method}'s reference is not the start: of a {which} completion of {tokens} tokens it gives the "
            f"log-probability {given:.3f}, the start {own:.3f}"
        )
    return abs(own - given)


def log_probabilities(trainer: Any, job: Job, row: dict[str, Any]) -> dict[str, tuple[float, int]]:
    """Of a row's chosen and rejected completion: log-probability (nats, summed) under the policy, and its tokens.

    With ld_alpha, tokens beyond the shorter completion's length count that much (LD-DPO, arXiv 2409.06411).
    """
    parts = {name: _token_logps(trainer, job, row["prompt_ids"], row[f"{name}_ids"]) for name in ("chosen", "rejected")}
    shared = min(len(logps) for logps in parts.values())
    alpha = 1.0 if trainer.args.ld_alpha is None else trainer.args.ld_alpha
    return {
        name: (float(logps[:shared].sum() + alpha * logps[shared:].sum()), len(logps)) for name, logps in parts.items()
    }


def _token_logps(trainer: Any, job: Job, prompt: list[int], completion: list[int]) -> torch.Tensor:
    """log p of each completion token, float32, of shape (completion tokens within max_length,)."""
    ids = (prompt + completion)[: trainer.args.max_length]
    model = trainer.model
    # Where its strategy divides a model, it is not on the device yet.
    inputs = torch.tensor([ids], device=model.device)
    training = model.training
    model.eval()
    with torch.no_grad(), _attention(model), trainer.accelerator.autocast():
        logits = model(input_ids=inputs, attention_mask=torch.ones_like(inputs), use_cache=False).logits
    model.train(training)
    logps = torch.log_softmax(logits[0, :-1].float(), dim=-1).gather(1, inputs[0, 1:, None])[:, 0]
    return logps[len(prompt) - 1 :].cpu()


@contextmanager
def _attention(model: Any) -> Iterator[None]:
    """Flash attention has no CPU's, where a model lies that is yet to be divided."""
    given = model.config._attn_implementation or ""
    elsewhere = model.device.type == "cpu" and given.startswith("flash")
    if elsewhere:
        model.set_attn_implementation("sdpa")
    yield
    if elsewhere:
        model.set_attn_implementation(given)


def prove_weights(trainer: Any, method: str) -> dict[str, Any]:
    """Compare a reference model's weights with the policy's, which are the start's before the first step.

    Raises:
        PermanentError: one is another.
    """
    own, other = (trainer.accelerator.unwrap_model(model) for model in (trainer.model, trainer.ref_model))
    weights = dict(other.named_parameters())
    for name, value in own.named_parameters():
        if name not in weights or not torch.equal(value, weights[name].to(value)):
            raise PermanentError(f"{method}'s reference is not the start: its weight {name} is another")
    return {"reference": {"weights_checked": len(weights)}}
