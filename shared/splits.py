"""Prompt splits: which prompts are eval, dev and train (design.md, "The spec").

Prompts are ranked by the hash of their normalised text: the first are eval, the next dev, the next train. So a larger
train is a superset of a smaller one, and no change of `train` moves a prompt into or out of eval. A cluster of
near-duplicates goes where its first member goes.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shared.canonical import sha256_hex
from shared.errors import BadInput

SPLITS = ("eval", "dev", "train")
SHINGLE = 3
SIMILAR = 0.6


@dataclass(frozen=True)
class SplitPrompt:
    """A prompt and where it went; rank counts within its split."""

    prompt_id: str
    prompt: str
    split: str
    rank: int


@dataclass(frozen=True)
class Splits:
    """Every prompt that was given a place, and how many came along with a near-duplicate."""

    prompts: tuple[SplitPrompt, ...]
    near_duplicates: int

    def count(self, split: str) -> int:
        return sum(prompt.split == split for prompt in self.prompts)


def normalise(text: str) -> str:
    """Unicode NFKC, case folded, runs of white space as one space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def rows_between(total: int, start: float, stop: float) -> tuple[int, int]:
    """The rows of fractions [start, stop) of `total`; adjoining ranges neither overlap nor leave a gap."""
    return round(total * start), round(total * stop)


def split_prompts(prompts: Sequence[tuple[str, str]], sizes: Mapping[str, int], exact: bool = False) -> Splits:
    """Split `(prompt_id, prompt)` pairs into eval, dev and train of the given sizes.

    Near-duplicates (Jaccard similarity of three-word shingles at least .6 to the cluster's first member) are
    clustered, unless `exact`: then only equal normalised texts are (a templated world is all near-duplicates).

    Raises:
        BadInput: fewer prompts than the sizes add up to.
    """
    wanted = sum(sizes[split] for split in SPLITS)
    if len(prompts) < wanted:
        raise BadInput(
            "prompts",
            f"train {sizes['train']} + dev {sizes['dev']} + eval {sizes['eval']} = {wanted} prompts are asked for, "
            f"and the source has {len(prompts)}",
            f"Lower train, dev or eval to {len(prompts)} in all, or add prompts to the dataset.",
        )
    ranked = sorted(prompts, key=lambda item: (sha256_hex(normalise(item[1])), item[0]))
    clusters = _clusters([normalise(text) for _, text in ranked], exact)
    placed: list[SplitPrompt] = []
    counts = dict.fromkeys(SPLITS, 0)
    home: dict[int, str] = {}
    for (prompt_id, text), cluster in zip(ranked, clusters, strict=True):
        split = home.get(cluster) or next((name for name in SPLITS if counts[name] < sizes[name]), "")
        home.setdefault(cluster, split)
        if split and counts[split] < sizes[split]:
            placed.append(SplitPrompt(prompt_id, text, split, counts[split]))
            counts[split] += 1
    short = [name for name in SPLITS if counts[name] < sizes[name]]
    if short:
        left = ", ".join(f"{name} {counts[name]} of {sizes[name]}" for name in short)
        raise BadInput(
            "prompts",
            f"near-duplicate prompts stay together in one split, which leaves too few: {left}",
            "Lower the sizes, or add distinct prompts.",
        )
    near = len(ranked) - len(set(clusters))
    return Splits(tuple(placed), near)


def _clusters(texts: Sequence[str], exact: bool) -> list[int]:
    """For each text the index of its cluster's first member."""
    if exact:
        first: dict[str, int] = {}
        return [first.setdefault(text, index) for index, text in enumerate(texts)]
    shingles = [_shingles(text) for text in texts]
    index: dict[str, list[int]] = {}
    clusters: list[int] = []
    for number, own in enumerate(shingles):
        overlap: dict[int, int] = {}
        for shingle in own:
            for other in index.get(shingle, ()):
                overlap[other] = overlap.get(other, 0) + 1
        home = next(
            (
                other
                for other, both in sorted(overlap.items())
                if both >= SIMILAR * (len(own) + len(shingles[other]) - both)
            ),
            number,
        )
        clusters.append(home)
        if home == number:
            for shingle in own:
                index.setdefault(shingle, []).append(number)
    return clusters


def _shingles(text: str) -> frozenset[str]:
    words = re.findall(r"\w+", text)
    return frozenset(" ".join(words[at : at + SHINGLE]) for at in range(max(1, len(words) - SHINGLE + 1)))


def rows_of_split(prompts: pa.Table, split: str, start: float, stop: float) -> pa.Table:
    """The rows (PROMPTS) of fractions [start, stop) of one split, by rank."""
    # In Arrow: a shard of a large stage wants a few rows of very many.
    mine = prompts.filter(pc.equal(prompts["split"], split)).sort_by("rank")
    first, last = rows_between(mine.num_rows, start, stop)
    return mine.slice(first, last - first)
