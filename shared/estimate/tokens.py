"""Tokens of one request where nothing like it was asked before: a stated assumption, with a wide range."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shared.estimate.asks import asked_model
from shared.estimate.quantity import Quantity, exactly
from shared.plan import Plan, Stage
from shared.templates import render_pairwise

CHARACTERS = 4.0
"""Of English text, to a token."""
PROMPT = Quantity(40, 150, 600)
"""Tokens of a prompt whose text is not there."""
FILLED = Quantity(0.1, 0.5, 1.0)
"""The share of max_tokens that an answer takes."""
VERDICT = Quantity(8, 80, 0)
"""Tokens of a critic's answer; its high end is the model's max_tokens."""
UNLIMITED = 512
"""Taken for the max_tokens of who has none: a recorded or simulated model."""

ASSUMPTION = (
    f"where like stages have not been run: {CHARACTERS:g} characters a token, {PROMPT.expected:g} tokens a prompt "
    f"whose text is not there ({PROMPT.low:g} to {PROMPT.high:g}), answers of half their max_tokens (a tenth to all), "
    f"verdicts of {VERDICT.expected:g} tokens ({VERDICT.low:g} to max_tokens)"
)


def assumed(stage: Stage, plan: Plan, prompts: Mapping[str, float]) -> tuple[Quantity, Quantity]:
    """Tokens in and out of one request of a stage. `prompts` has the mean characters of the prompts of a split."""
    model = asked_model(stage) or {}
    most = _max_tokens(model)
    fixed = exactly(len(model.get("system") or "") / CHARACTERS)
    if stage.kind == "teach":
        return fixed + _prompt(stage.params["split"], prompts), FILLED.times(most)
    shown = [_answer(plan.stages[stage.inputs[name]]) for name in ("samples", "reference") if name in stage.inputs]
    answers = sum(shown, Quantity()) if len(shown) == 2 else sum(shown, Quantity()).times(2)
    question = exactly(len(render_pairwise("", "", "")) / CHARACTERS) + _prompt(_split(stage, plan), prompts)
    verdict = Quantity(min(VERDICT.low, most), min(VERDICT.expected, most), most)
    return fixed + question + answers, verdict


def _prompt(split: str, prompts: Mapping[str, float]) -> Quantity:
    if split not in prompts:
        return PROMPT
    mean = prompts[split] / CHARACTERS
    return Quantity(0.75 * mean, mean, 1.5 * mean)


def _split(stage: Stage, plan: Plan) -> str:
    source = plan.stages[stage.inputs["samples"]] if "samples" in stage.inputs else stage
    return str(source.params.get("split", ""))


def _answer(stage: Stage) -> Quantity:
    """Tokens of a completion that a stage leaves: a policy's sample, or a teacher's answer."""
    if stage.kind == "sample":
        return FILLED.times(float(stage.params["max_tokens"]))
    return FILLED.times(_max_tokens(stage.params.get("model") or {}))


def _max_tokens(model: Mapping[str, Any]) -> float:
    return float((model.get("sampling") or {}).get("max_tokens", UNLIMITED))
