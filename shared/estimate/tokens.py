"""Tokens of one request where nothing like it was asked before: a stated assumption, with a wide range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from shared.asking import TurnsAsk, read_ask
from shared.estimate.asks import asked_model
from shared.estimate.hours import ASSUMPTION as HOURS
from shared.estimate.quantity import Quantity, exactly
from shared.plan.model import Plan, Stage

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
SHOWN = ("samples", "second", "reference", "opponent", "reference_answers")
"""Inputs whose completions a critic is shown."""

REASKED = 0.1
"""The share of answers, at the high end, that are asked for again as often as the model's `reask` allows."""

ASSUMPTION = (
    f"where like stages have not been run: {CHARACTERS:g} characters a token, {PROMPT.expected:g} tokens a prompt "
    f"whose text is not there ({PROMPT.low:g} to {PROMPT.high:g}), answers of half their max_tokens (a tenth to all), "
    f"verdicts of {VERDICT.expected:g} tokens ({VERDICT.low:g} to max_tokens), nothing asked again (a tenth as often "
    f"as `reask` allows); {HOURS}"
)


def assumed(stage: Stage, plan: Plan, prompts: Mapping[str, float]) -> tuple[Quantity, Quantity]:
    """Tokens in and out of one request of a stage. `prompts` has the mean characters of the prompts of a split."""
    model = asked_model(stage) or {}
    again = Quantity(1.0, 1.0, 1.0 + REASKED * max((model.get("reask") or {}).values(), default=0))
    found = _taught(stage, model, prompts) if stage.kind == "teach" else _compared(stage, plan, model, prompts)
    return found[0].by(again), found[1].by(again)


def _taught(stage: Stage, model: Mapping[str, Any], prompts: Mapping[str, float]) -> tuple[Quantity, Quantity]:
    return _system(model) + _prompt(stage.params["split"], prompts), FILLED.times(_max_tokens(model))


def _compared(
    stage: Stage, plan: Plan, model: Mapping[str, Any], prompts: Mapping[str, float]
) -> tuple[Quantity, Quantity]:
    """A comparison shows both answers; a score one of them, and a reference answer where there is one."""
    ask = read_ask(stage.params)
    inputs = {name: plan.stages[key] for name, key in stage.inputs.items() if name in SHOWN}
    answers = [_answer(one) for name, one in inputs.items() if name != "reference_answers"] or [_recorded()]
    both = (answers * 2)[:2]
    prompt = _prompt(_split(stage, plan), prompts)
    shown = sum(both, Quantity()) if ask.sort == "pairwise" else sum(both, Quantity()).times(0.5)
    if isinstance(ask, TurnsAsk):
        # The first question shows one turn, the second both: a turn and a half each.
        prompt, shown = PROMPT.times(1.5), shown.times(1.5)
    if "reference_answers" in inputs:
        shown += _answer(inputs["reference_answers"])
    template = ask.own_template("" if "reference_answers" in inputs else None)
    fixed = len(template.system) + len(template.text)
    fixed += sum(len(one.name) + len(one.text) for one in getattr(ask, "criteria", []))
    most = min(_max_tokens(model), ask.sampling().get("max_tokens", math.inf))
    verdict = Quantity(min(VERDICT.low, most), min(VERDICT.expected, most), most)
    return _system(model) + exactly(fixed / CHARACTERS) + prompt + shown, verdict


def _system(model: Mapping[str, Any]) -> Quantity:
    return exactly(len(model.get("system") or "") / CHARACTERS)


def _prompt(split: str, prompts: Mapping[str, float]) -> Quantity:
    if split not in prompts:
        return PROMPT
    mean = prompts[split] / CHARACTERS
    return Quantity(0.75 * mean, mean, 1.5 * mean)


def _split(stage: Stage, plan: Plan) -> str:
    source = next(
        (plan.stages[stage.inputs[name]] for name in ("samples", "preferences") if name in stage.inputs), stage
    )
    return str(source.params.get("split", ""))


def _answer(stage: Stage) -> Quantity:
    """Tokens of a completion that a stage leaves: a policy's sample, or a teacher's answer."""
    if stage.kind == "sample":
        return FILLED.times(float(stage.params["max_tokens"]))
    return FILLED.times(_max_tokens(stage.params.get("model") or {}))


def _recorded() -> Quantity:
    """Tokens of a completion that somebody recorded."""
    return FILLED.times(UNLIMITED)


def _max_tokens(model: Mapping[str, Any]) -> float:
    return float((model.get("sampling") or {}).get("max_tokens", UNLIMITED))
