"""What a stage's answers used, as numbers that may be added up over its shards."""

from __future__ import annotations

from collections import Counter
from typing import Any

from shared.llm.caller import Answers, Origin
from shared.llm.outcomes import outcome


def usage(answers: Answers, origin: Origin) -> dict[str, Any]:
    """Requests, tokens, what became of them, and dollars paid on this stage's own behalf; equal requests count once.

    A stage's `cost` is what its answers cost, whoever paid; `usd_paid` leaves out what another stage had asked before.
    Both experiments of a stage that two share paid for what was asked on their own behalf: `usd_by_experiment`.
    `outcomes` are those of the answers that count (outcomes.py), `reasked` why others before them did not;
    `without_usage` counts answers at a price whose endpoint did not say what it used: they are taken to have cost the
    most that they can have cost.
    """
    distinct = answers.distinct
    kept = {entry.key: entry.answer for entry in answers.entries}.values()
    return {
        "requests": len(distinct),
        "requests_paid": sum(origin == Origin(entry.experiment, entry.stage) for entry in distinct),
        "input_tokens": sum(entry.answer.input_tokens or 0 for entry in distinct),
        "output_tokens": sum(entry.answer.output_tokens or 0 for entry in distinct),
        "finish_reasons": dict(Counter(entry.answer.finish_reason for entry in distinct)),
        "outcomes": dict(Counter(outcome(answer) for answer in kept)),
        "reasked": dict(answers.reasked),
        "without_usage": sum(entry.usd is not None and not entry.answer.says_usage for entry in distinct),
        "usd_paid": answers.usd(origin),
        "usd_by_experiment": _by_experiment(answers, origin.stage),
    }


def _by_experiment(answers: Answers, stage: str) -> dict[str, float]:
    paid: dict[str, float] = {}
    for entry in answers.distinct:
        if entry.stage == stage and entry.usd:
            paid[entry.experiment] = paid.get(entry.experiment, 0.0) + entry.usd
    return paid
