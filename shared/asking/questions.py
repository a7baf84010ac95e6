"""What is asked about one pair of completions, or one conversation.

Pure: the estimate makes the same requests as the worker.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.asking.base import Ask
from shared.asking.turns import Conversation, TurnsAsk
from shared.llm.chat import ChatRequest
from shared.plan.comparisons import Comparison, Verdicts
from shared.templates.template import Template

IDENTICAL = Verdicts("tie", "tie")
"""What identical completions get; nobody is asked."""
NO_REFERENCE = Verdicts(None, None, raw_ab="no reference answer")


@dataclass(frozen=True)
class Questioned:
    """A pair (or a conversation) and what is asked about it; nothing where its verdict is known before."""

    pair: Comparison | Conversation
    template: Template
    requests: list[ChatRequest]
    known: Verdicts | None = None


def question(
    ask: Ask,
    identity: Mapping[str, Any],
    pair: Comparison | Conversation,
    uploaded: Template | None,
    reference: str | None,
) -> Questioned:
    """What a critic of this identity is asked about a pair; `reference` is the reference answer that goes with it."""
    template = uploaded or ask.own_template(reference)
    if isinstance(pair, Conversation):
        assert isinstance(ask, TurnsAsk), "only MT-Bench asks about conversations"
        return Questioned(pair, template, ask.requests(identity, pair))
    if pair.a == pair.b:
        return Questioned(pair, template, [], IDENTICAL)
    if reference is None and "reference" in template.places:
        return Questioned(pair, template, [], NO_REFERENCE)
    values = ask.questions(pair, reference)
    return Questioned(pair, template, [ask.request(identity, template, one) for one in values])
