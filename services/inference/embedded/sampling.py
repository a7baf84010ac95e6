"""Choosing the next token of every row of a batch, each by its own random numbers.

A row's random numbers depend on its seed and on how many tokens it has, never on who shares the batch: they come from
the counter-based generator SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators").
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch

GOLDEN = np.uint64(0x9E3779B97F4A7C15)


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
    scale = torch.where(greedy, torch.ones_like(temperature), temperature)
    probabilities = torch.softmax(logits / scale[:, None], dim=-1)
    cut = top_p < 1
    if bool(cut.any()):
        probabilities[cut] = nucleus(probabilities[cut], top_p[cut])
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    sampled = torch.searchsorted(cumulative, (draws * cumulative[:, -1])[:, None], right=True)[:, 0]
    sampled = sampled.clamp_(max=logits.shape[-1] - 1)
    return torch.where(greedy, logits.argmax(-1), sampled)


def nucleus(probabilities: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Zero what is outside each row's nucleus: the fewest tokens that hold `top_p` (Holtzman et al. 2020, 3.1)."""
    ordered, order = probabilities.sort(dim=-1, descending=True, stable=True)
    before = ordered.cumsum(-1, dtype=torch.float64) - ordered
    ordered = ordered.masked_fill(before >= top_p[:, None], 0.0)
    return torch.zeros_like(probabilities).scatter_(-1, order, ordered)
