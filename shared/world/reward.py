"""The true reward of an answer: one minus its normalised edit distance (Levenshtein, over words) to the right one."""

from __future__ import annotations

from collections.abc import Sequence

from shared.world.tasks import gold


def reward(prompt: str, answer: str) -> float:
    """0 to 1; 1 exactly when the answer's words are the right ones, partial credit otherwise.

    Raises `BadInput` for a prompt of another world.
    """
    given, right = answer.split(), gold(prompt).split()
    return 1 - edit_distance(given, right) / max(len(given), len(right))


def edit_distance(first: Sequence[str], second: Sequence[str]) -> int:
    """Fewest insertions, deletions and substitutions of words that turn one into the other."""
    row = list(range(len(second) + 1))
    for i, word in enumerate(first, 1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(second, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
