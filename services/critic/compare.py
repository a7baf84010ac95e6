"""Comparing completions: by an LLM critic in both orders, or by the offline one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from shared.artifacts import Cost
from shared.comparisons import Comparison, Verdict, Verdicts
from shared.context import StageContext
from shared.llm.caller import Origin, answer_all
from shared.llm.chat import ChatRequest, Message
from shared.llm.endpoints import Endpoint
from shared.llm.providers.similarity import chrf_scorer
from shared.llm.session import process_session
from shared.templates import parse_verdict, render_pairwise

SWAPPED: dict[str, Verdict] = {"a": "b", "b": "a", "tie": "tie", "unparsable": "unparsable"}


@dataclass(frozen=True)
class Compared:
    """Verdicts in the order of the comparisons, and what they took."""

    verdicts: list[Verdicts]
    metrics: dict[str, Any]
    cost: Cost


def compare(ctx: StageContext, critic: Mapping[str, Any], comparisons: Sequence[Comparison]) -> Compared:
    """Ask a critic of this identity. Identical completions are a tie that nobody is asked about."""
    if critic["provider"] == "similarity":
        verdicts = by_similarity(comparisons, ctx.input("towards").rows(), ctx)
        return Compared(verdicts, rates(verdicts), Cost())
    return _asked(ctx, critic, comparisons)


def by_similarity(
    comparisons: Sequence[Comparison], towards: pa.Table, ctx: StageContext | None = None
) -> list[Verdicts]:
    """The completion that is closer (chrF) to the named model's is better; without one there is no verdict.

    It has no order to be biased by, so only `ab` is given.
    """
    score = chrf_scorer()
    targets = {row["prompt_id"]: row["completion"] for row in towards.to_pylist()}
    verdicts = []
    for index, pair in enumerate(comparisons):
        if ctx is not None:
            ctx.check()
            ctx.progress(index, len(comparisons))
        target = targets.get(pair.prompt_id)
        if target is None:
            verdicts.append(Verdicts("unparsable", None, raw_ab="no completion to compare with"))
            continue
        a, b = score(pair.a, target), score(pair.b, target)
        better: Verdict = "tie" if a == b else "a" if a > b else "b"
        verdicts.append(Verdicts(better, None, raw_ab=f"chrF {a:.2f} and {b:.2f}"))
    return verdicts


def _asked(ctx: StageContext, critic: Mapping[str, Any], comparisons: Sequence[Comparison]) -> Compared:
    """An LLM critic's verdicts, each pair in both orders, through the ledger."""
    asked = [pair for pair in comparisons if pair.a != pair.b]
    requests = [
        request(critic, pair.prompt, first, second)
        for pair in asked
        for first, second in ((pair.a, pair.b), (pair.b, pair.a))
    ]
    answers = answer_all(
        requests,
        critic,
        Endpoint.from_options(ctx.unit.options),
        process_session(ctx.settings, ctx.store, ctx.redis),
        ctx,
        Origin(ctx.unit.experiment, ctx.unit.key),
        label=lambda index: f"prompt {asked[index // 2].prompt_id}",
    )
    texts = [entry.answer.text for entry in answers.entries]
    given = iter(zip(texts[::2], texts[1::2], strict=True))
    verdicts = [read(*next(given)) if pair.a != pair.b else Verdicts("tie", "tie") for pair in comparisons]
    tokens = {
        name: sum(getattr(entry.answer, name) or 0 for entry in answers.entries)
        for name in ("input_tokens", "output_tokens")
    }
    metrics = {**rates(verdicts), "requests": len(requests), "requests_sent": answers.sent, **tokens}
    return Compared(verdicts, metrics, Cost(usd=answers.usd()))


def request(critic: Mapping[str, Any], prompt: str, first: str, second: str) -> ChatRequest:
    """The request that asks which of two answers is better, `first` shown as answer A."""
    system: list[Message] = [{"role": "system", "content": critic["system"]}] if critic.get("system") else []
    content = render_pairwise(prompt, first, second)
    return ChatRequest(messages=(*system, {"role": "user", "content": content}), **critic.get("sampling", {}))


def read(ab: str, ba: str) -> Verdicts:
    """The verdicts, by content, from the words given with a shown first and with b shown first."""
    return Verdicts(parse_verdict(ab), SWAPPED[parse_verdict(ba)], ab, ba)


def rates(verdicts: Sequence[Verdicts]) -> dict[str, Any]:
    """Counts of what came out."""
    kinds = Counter(verdict for pair in verdicts for verdict in (pair.ab, pair.ba) if verdict is not None)
    return {
        "pairs": len(verdicts),
        "flips": sum(pair.flipped for pair in verdicts),
        "ties": kinds["tie"],
        "unparsable": kinds["unparsable"],
        "first_shown_preferred": sum((pair.ab == "a") + (pair.ba == "b") for pair in verdicts if pair.ba is not None),
    }
