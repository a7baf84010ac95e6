"""Comparing completions: by an LLM critic, through the ledger, by one without an endpoint, or by several."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa

from services.critic.asking import ask_critic
from services.critic.compared import Compared, rates
from services.critic.critics import Critic
from services.critic.ensemble import compare_together
from shared.artifacts import Cost
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.llm.providers import PROVIDERS
from shared.plan.comparisons import Candidate, Comparison, Verdicts, by_score

OFFLINE_AT_ONCE = 50


def compare(
    ctx: StageContext, critic: Critic, comparisons: Sequence[Comparison], tables: Mapping[str, pa.Table]
) -> Compared:
    """A critic's verdicts; `tables` are the stage's inputs, for a critic that compares with them.

    Raises:
        PermanentError: the endpoint refused, or a check cannot be done.
        Outage: the endpoint cannot be reached.
    """
    if "members" in critic.identity:
        together = compare_together(
            critic, comparisons, tables, lambda member, pairs, given: compare(ctx, member, pairs, given)
        )
        return Compared(together.verdicts, {**together.metrics, **rates(together.verdicts)}, together.cost)
    if "dataset" in critic.identity:
        tables = {**tables, "dataset": read_dataset(ctx.store, critic.identity["dataset"])}
    provider = PROVIDERS[critic.identity["provider"]]
    score = provider.scorer(critic.identity, tables)
    if score is None:
        verdicts, metrics, usd = ask_critic(ctx, critic, comparisons, tables.get("reference_answers"))
        return Compared(verdicts, {**rates(verdicts), **metrics}, Cost(usd=usd))
    verdicts = []
    for number, pair in enumerate(comparisons):
        if number % OFFLINE_AT_ONCE == 0:
            ctx.check()
            ctx.progress(number, len(comparisons))
        verdicts.append(_scored(pair, provider.measure, score))
    return Compared(verdicts, rates(verdicts), Cost())


def _scored(pair: Comparison, measure: str, score: Callable[[Candidate], float | None]) -> Verdicts:
    """One verdict: a critic that scores knows no order."""
    a, b = (score(Candidate(pair.prompt_id, pair.prompt, text)) for text in (pair.a, pair.b))
    if a is None or b is None:
        return Verdicts(None, None, raw_ab="nothing to compare with")
    return by_score(a, b, f"{measure} {a:.4f} for a, {b:.4f} for b")
