"""Reading verdicts and ratings out of a critic's words. What is not plainly there is unparsable: never a guess."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from shared.plan.comparisons import Verdict

LEAST_MASS = 0.5
"""The share that the two labels must have of the first token's probability, for their ratio to be a verdict."""

LONGEST = 80
"""Characters of a line that may be a verdict and nothing else."""

_VERDICT = re.compile(r"[*_` ]*(?:verdict:)?[*_` ]*(a|b|tie)[*_` ]*\.?[*_` ]*", re.IGNORECASE)
_LABELLED = re.compile(r"[*_` ]*verdict:", re.IGNORECASE)
_VERDICTS: dict[str, Verdict] = {"a": "a", "b": "b", "c": "tie", "tie": "tie"}
_NUMBER = r"-?\d+(?:\.\d+)?"
_RATING = re.compile(
    rf"[*_` ]*(?:(?:rating|score):)?[*_` ]*({_NUMBER})(?: ?/ ?(\d{{1,9}}))?[*_` ]*\.?[*_` ]*", re.IGNORECASE
)
_RATED = re.compile(r"[*_` ]*(?:rating|score):", re.IGNORECASE)
_IN_BRACKETS = re.compile(r"\[\[\s*([ABC])\s*\]\]")
_RATING_IN_BRACKETS = re.compile(rf"\[\[\s*({_NUMBER})\s*\]\]")


def parse_verdict(text: str, bare: bool = False) -> Verdict:
    """What the last line of a critic's words says: `Verdict: A`, and with `bare` also `A` alone.

    Only a line that is a verdict and nothing else counts; case, Markdown emphasis and a full stop do not matter. Where
    there are several such lines (both sides weighed in turn, our own instructions quoted) they must agree.
    """
    lines = [_verdict(line, bare) for line in _lines(text)]
    said = set(lines) - {None}
    return lines[-1] if lines[-1] is not None and len(said) == 1 else "unparsable"


def parse_bracketed(text: str) -> Verdict:
    """MT-Bench's `[[A]]`, `[[B]]`, `[[C]]` (a tie), anywhere; several must agree."""
    found = set(_IN_BRACKETS.findall(text))
    return _VERDICTS[found.pop().lower()] if len(found) == 1 else "unparsable"


def parse_rating(text: str, brackets: bool, highest: int) -> float | None:
    """A rating: `Rating: [[5]]` anywhere, or else the last line `Score: 5`; several must agree.

    `5/10` is a 5 only where 10 is the highest.
    """
    if brackets:
        found = {float(number) for number in _RATING_IN_BRACKETS.findall(text)}
        return found.pop() if len(found) == 1 else None
    *before, last = _lines(text)
    rating = _rating(last, highest)
    others = {_rating(line, highest) for line in before if _RATED.match(line)} - {None}
    return rating if others <= {rating} else None


def label_preference(logprobs: Mapping[str, float]) -> float | None:
    """P(A) / (P(A) + P(B)) from the first token's log-probabilities (nats); None where it says something else.

    `A`, ` A` and `a` are one label. Zheng et al. 2023 parse the label; Lee et al. 2023 (RLAIF, section 2.1) read its
    probability, as here.
    """
    mass = {"A": 0.0, "B": 0.0}
    for token, logprob in logprobs.items():
        if (label := token.strip(" \t\r\n▁ĠĊ").upper()) in mass:
            mass[label] += math.exp(min(logprob, 0.0))
    total = mass["A"] + mass["B"]
    return mass["A"] / total if total >= LEAST_MASS else None


def _verdict(line: str, bare: bool) -> Verdict | None:
    match = _VERDICT.fullmatch(line)
    return None if match is None or not (bare or _LABELLED.match(line)) else _VERDICTS[match[1].lower()]


def _rating(line: str, highest: int) -> float | None:
    match = _RATING.fullmatch(line)
    if match is None or (match[2] is not None and int(match[2]) != highest):
        return None
    return float(match[1])


def _lines(text: str) -> list[str]:
    """At least one; a line that is too long to be a verdict is empty."""
    lines = [line.strip() for line in text.strip().split("\n")]
    return [line if len(line) <= LONGEST else "" for line in lines]
