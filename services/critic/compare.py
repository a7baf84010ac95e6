"""Comparing completions: by an LLM critic in both orders, or by one that needs no endpoint."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shared.artifacts import Cost
from shared.comparisons import Comparison, Verdict, Verdicts
from shared.context import StageContext
from shared.llm.caller import answer_all
from shared.llm.chat import user_request
from shared.llm.providers import PROVIDERS
from shared.llm.usage import usage
from shared.llm.worker import endpoint_of_unit, origin_of, session_of
from shared.templates import parse_verdict, render_pairwise

SWAPPED: dict[Verdict, Verdict] = {"a": "b", "b": "a", "tie": "tie", "unparsable": "unparsable"}
IDENTICAL = Verdicts("tie", "tie")
"""What identical completions get; nobody is asked."""
OFFLINE_AT_ONCE = 50


@dataclass(frozen=True)
class Compared:
    """Verdicts in the order of the comparisons, and what they took."""

    verdicts: list[Verdicts]
    metrics: dict[str, Any]
    cost: Cost


def compare(
    ctx: StageContext, critic: Mapping[str, Any], comparisons: Sequence[Comparison], tables: Mapping[str, pa.Table]
) -> Compared:
    """Ask a critic of this identity; `tables` are the stage's inputs, for a critic that compares with them.

    Raises:
        PermanentError: the endpoint refused.
        Outage: it cannot be reached.
    """
    offline = PROVIDERS[critic["provider"]].compare_offline
    if offline(comparisons[:0], tables) is None:
        return _asked(ctx, critic, comparisons)
    verdicts: list[Verdicts] = []
    while len(verdicts) < len(comparisons):
        ctx.check()
        ctx.progress(len(verdicts), len(comparisons))
        verdicts += offline(comparisons[len(verdicts) : len(verdicts) + OFFLINE_AT_ONCE], tables) or []
    return Compared(verdicts, rates(verdicts), Cost())


def _asked(ctx: StageContext, critic: Mapping[str, Any], comparisons: Sequence[Comparison]) -> Compared:
    """An LLM critic's verdicts, each pair in both orders, through the ledger."""
    asked, origin = [pair for pair in comparisons if pair.a != pair.b], origin_of(ctx)
    # Greedy unless the spec says otherwise: a verdict should not be a matter of chance.
    requests = [
        user_request(critic, render_pairwise(pair.prompt, first, second), temperature=0.0)
        for pair in asked
        for first, second in ((pair.a, pair.b), (pair.b, pair.a))
    ]
    answers = answer_all(
        requests,
        critic,
        endpoint_of_unit(ctx),
        session_of(ctx),
        ctx,
        origin,
        label=lambda index: f"prompt {asked[index // 2].prompt_id}",
    )
    texts = [entry.answer.text for entry in answers.entries]
    given = iter(zip(texts[::2], texts[1::2], strict=True))
    verdicts = [IDENTICAL if pair.a == pair.b else read(*next(given)) for pair in comparisons]
    return Compared(verdicts, {**rates(verdicts), **usage(answers, origin)}, Cost(usd=answers.usd()))


def read(ab: str, ba: str) -> Verdicts:
    """The verdicts, by content, from the words given with a shown first and with b shown first."""
    return Verdicts(parse_verdict(ab), SWAPPED[parse_verdict(ba)], ab, ba)


def rates(verdicts: Sequence[Verdicts]) -> dict[str, Any]:
    """Counts of what came out, which may be added up over shards; `both_orders` are the pairs that were asked twice."""
    kinds = Counter(verdict for pair in verdicts for verdict in (pair.ab, pair.ba) if verdict is not None)
    both = [pair for pair in verdicts if pair.raw_ba is not None]
    return {
        "pairs": len(verdicts),
        "both_orders": len(both),
        "flips": sum(pair.flipped for pair in both),
        "first_shown_preferred": sum((pair.ab == "a") + (pair.ba == "b") for pair in both),
        "ties": kinds["tie"],
        "unparsable": kinds["unparsable"],
    }
