"""Asking a critic over HTTP: each question once, what the ledger has not at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import pyarrow as pa

from services.critic.critics import Critic
from shared.asking.questions import Questioned, question
from shared.asking.turns import TURNS, Conversation, Ratings, TurnsAsk
from shared.context import StageContext
from shared.errors import PermanentError
from shared.llm.caller import Answers, answer_all
from shared.llm.chat import Answer, Refused
from shared.llm.endpoints import Endpoint
from shared.llm.usage import usage
from shared.llm.worker import origin_of, session_of
from shared.plan.comparisons import Comparison, Verdicts
from shared.uploaded_templates import read_template


def ask_critic(
    ctx: StageContext, critic: Critic, comparisons: Sequence[Comparison], references: pa.Table | None
) -> tuple[list[Verdicts], dict[str, Any], float]:
    """The verdicts in the order of the comparisons, counts, and dollars. `references`: COMPLETIONS to show with them.

    Raises:
        PermanentError: the endpoint refused, or gives no log-probabilities where they are needed.
        Outage: it cannot be reached.
    """
    pinned = critic.ask.pinned
    uploaded = None if pinned is None else read_template(ctx.store, pinned)
    of_prompt: dict[str, str] = {}
    if references is not None:
        of_prompt = dict(zip(*(references[name].to_pylist() for name in ("prompt_id", "completion")), strict=True))
    asked = [
        question(critic.ask, critic.identity, pair, uploaded, of_prompt.get(pair.prompt_id)) for pair in comparisons
    ]
    if critic.ask.logprobs:
        _probe(ctx, critic, asked)
    answers = _answers(ctx, critic, asked, critic.endpoint)
    given = iter([entry.answer for entry in answers.entries])
    verdicts = [
        one.known or critic.ask.read(pair, list(islice(given, len(one.requests))), one.template)
        for pair, one in zip(comparisons, asked, strict=True)
    ]
    return verdicts, usage(answers, origin_of(ctx)), answers.usd()


def ask_about_turns(
    ctx: StageContext, critic: Critic, conversations: Sequence[Conversation]
) -> tuple[list[Ratings], dict[str, Any], float]:
    """MT-Bench's ratings in the order of the conversations, counts, and dollars.

    Raises:
        PermanentError: the endpoint refused.
        Outage: it cannot be reached.
    """
    ask = critic.ask
    assert isinstance(ask, TurnsAsk)
    asked = [question(ask, critic.identity, one, None, None) for one in conversations]
    answers = _answers(ctx, critic, asked, critic.endpoint)
    given = [entry.answer for entry in answers.entries]
    ratings = [ask.ratings(given[TURNS * place : TURNS * (place + 1)]) for place in range(len(conversations))]
    unread = sum(score is None for one in ratings for score in one.scores)
    counted = {"conversations": len(ratings), "unparsable": unread}
    return ratings, {**counted, **usage(answers, origin_of(ctx))}, answers.usd()


def _answers(ctx: StageContext, critic: Critic, asked: Sequence[Questioned], endpoint: Endpoint) -> Answers:
    of = [(one, request) for one in asked for request in one.requests]

    def accept(index: int, answer: Answer) -> str | None:
        return None if critic.ask.readable(answer, of[index][0].template) else "unparsable"

    return answer_all(
        [request for _, request in of],
        critic.identity,
        endpoint,
        session_of(ctx),
        ctx,
        origin_of(ctx),
        label=lambda index: f"prompt {of[index][0].pair.prompt_id}",
        accept=accept,
    )


def _probe(ctx: StageContext, critic: Critic, asked: Sequence[Questioned]) -> None:
    """One request ahead of all others shows whether the endpoint gives log-probabilities.

    Raises:
        PermanentError: it does not.
    """
    first = next((one for one in asked if one.requests), None)
    if first is None:
        return
    fix = "write `verdict: label`, or use an endpoint that gives them"
    field = f"models.{critic.endpoint.name}.ask.verdict"
    one = Questioned(first.pair, first.template, first.requests[:1])
    try:
        # Never in a batch, which may take a day to say no.
        (entry,) = _answers(ctx, critic, [one], replace(critic.endpoint, batch=False)).entries
    except PermanentError as error:
        refused = error.__cause__
        if isinstance(refused, Refused) and not refused.field:
            raise PermanentError(f"{field}: the endpoint refuses log-probabilities ({refused}); {fix}") from error
        raise
    if entry.answer.top_logprobs is None:
        raise PermanentError(f"{field}: the endpoint answers without log-probabilities; {fix}")
