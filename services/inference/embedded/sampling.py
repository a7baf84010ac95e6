"""Choosing the next token of every row of a batch, each by its own random numbers.

A row's random numbers depend on its seed and on how many tokens it has, never on who shares the batch: they come from
the counter-based generator SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch.nn import functional

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
BLOCK = 256


def row_key(seed: int, index: int) -> int:
    """The 64-bit key of a request's `index`-th completion."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest(), "big")


def uniforms(keys: np.ndarray, counters: np.ndarray) -> np.ndarray:
    """One number in [0, 1) for each row: `keys` uint64 [B], `counters` uint64 [B] (tokens generated so far)."""
    with np.errstate(over="ignore"):
        z = keys + (counters + np.uint64(1)) * GOLDEN
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return np.asarray((z >> np.uint64(11)) * 2.0**-53, dtype=np.float64)


def pick(logits: torch.Tensor, temperature: torch.Tensor, top_p: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """The next token of every row, int64 [B].

    `logits` float32 [B, V]; `temperature` float32 [B], 0 for the likeliest token; `top_p` float32 [B]; `draws` float64
    [B] in [0, 1), each used to invert its row's cumulative distribution.
    """
    greedy = temperature == 0
    if bool(greedy.all()):
        return logits.argmax(-1)
    weights = logits / torch.where(greedy, torch.ones_like(temperature), temperature)[:, None]
    weights.sub_(weights.amax(-1, keepdim=True)).exp_()
    cut = top_p < 1
    if bool(cut.any()):
        own = weights[cut]
        weights[cut] = nucleus(own / own.sum(-1, keepdim=True), top_p[cut])
    sampled = invert(weights, draws)
    return torch.where(greedy, logits.argmax(-1), sampled) if bool(greedy.any()) else sampled


def invert(weights: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
    """Where each row's cumulative weight first passes its draw's share of the whole, int64 [B]: never where the weight
    is zero. `weights` float32 [B, V], at least one of each row above zero; `draws` float64 [B] in [0, 1).

    Cumulated are the sums of blocks, then one block of each row: all of a vocabulary in float64 took as long as the
    softmax before it.
    """
    size = weights.shape[-1]
    whole = size // BLOCK * BLOCK
    sums = weights[:, :whole].reshape(len(weights), -1, BLOCK).sum(-1)
    if whole < size:
        sums = torch.cat([sums, weights[:, whole:].sum(-1, keepdim=True)], dim=-1)
    block, rest = _passed(sums, draws)
    places = block[:, None] * BLOCK + torch.arange(BLOCK)
    inside = weights.gather(-1, places.clamp(max=size - 1)).masked_fill_(places >= size, 0.0)
    return (block * BLOCK + _passed(inside, rest)[0]).clamp_(max=size - 1)


def _passed(weights: torch.Tensor, draws: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Where the cumulative weight passes each draw's share of the whole, and which share of that weight was left."""
    reached = weights.cumsum(-1, dtype=torch.float64)
    whole = reached[:, -1]
    # Rounding must not take a draw to the whole, which nothing passes.
    wanted = torch.minimum(draws * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    # Weights that are no numbers are passed nowhere: their row's token means nothing, and other rows go on.
    at = torch.searchsorted(reached, wanted[:, None], right=True).clamp_(max=weights.shape[-1] - 1)
    below = functional.pad(reached, (1, 0)).gather(-1, at)[:, 0]
    share = (wanted - below) / (reached.gather(-1, at)[:, 0] - below)
    return at[:, 0], share


def nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero what is outside each row's nucleus: the fewest tokens that hold `top_p` (Holtzman et al. 2020, 3.1)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1, dtype=torch.float64) - ordered
    ordered = ordered.masked_fill(before >= top_p[:, None], 0.0)
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)
