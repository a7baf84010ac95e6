"""Verifiable critics: a registered check says what is right, and the right one of two completions wins."""

from __future__ import annotations

import time
from typing import Any

import pyarrow as pa
import pytest
from pydantic import ValidationError

from services.critic.compare import compare
from services.critic.critics import Critic
from shared.checks import CHECKS, Check
from shared.checks.base import Checked
from shared.errors import PermanentError
from shared.llm.providers.verifiable import VerifiableModel
from shared.plan.comparisons import Candidate, Comparison
from shared.world.prompts import make_prompts
from shared.world.tasks import gold

ANSWERS = pa.table({"prompt_id": ["p1", "p2"], "completion": ["42", "1,000 apples"]})


def score(completion: str, prompt_id: str = "p1", prompt: str = "q", **fields: Any) -> float | None:
    model = VerifiableModel.model_validate({"provider": "verifiable", **fields})
    tables = {} if model.answers is None else {"dataset": ANSWERS}
    return model.scorer(model.identity(), tables)(Candidate(prompt_id, prompt, completion))


@pytest.mark.parametrize(
    ("check", "prompt_id", "completion", "expected"),
    [
        ("exact", "p1", " 42\n", 1.0),
        ("exact", "p1", "42.", 0.0),
        ("numeric", "p1", "First 7, then it is 42.0", 1.0),
        ("numeric", "p1", "42, or rather 43", 0.0),
        ("numeric", "p2", "There are 1000 of them", 1.0),
        ("numeric", "p1", "no number", 0.0),
        ("numeric", "p1", "20-42", 1.0),
        ("numeric", "p1", "it is -42", 0.0),
        ("exact", "p9", "42", None),
    ],
)
def test_checks_against_right_answers(check: str, prompt_id: str, completion: str, expected: float | None) -> None:
    assert score(completion, prompt_id, check=check, answers="dataset:gold") == expected


def test_a_pattern_is_searched_for_and_may_hold_the_answer() -> None:
    assert score("so: YES", check="regex", pattern="(?i)yes$") == 1.0
    assert score("the answer is 42.", check="regex", pattern=r"answer is {answer}\.", answers="dataset:gold") == 1.0
    assert score("the answer is 4x2.", check="regex", pattern="answer is {answer}", answers="dataset:gold") == 0.0


def test_a_pattern_that_takes_for_ever_is_stopped() -> None:
    started = time.monotonic()
    with pytest.raises(PermanentError, match="nested repetition"):
        score("a" * 40 + "b", check="regex", pattern="(a|aa)+$")
    assert time.monotonic() - started < 30


def test_the_true_reward_of_the_simulated_world() -> None:
    (prompt,) = make_prompts(1, seed=0)
    assert score(gold(prompt.text), prompt=prompt.text, check="world") == 1.0


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"check": "exactly"}, "use one of: exact, numeric, regex, world"),
        ({"check": "exact"}, "answers: dataset:NAME"),
        ({"check": "regex"}, "takes a pattern"),
        ({"check": "regex", "pattern": "("}, "no regular expression"),
        ({"check": "regex", "pattern": "is {answer}"}, "answers: dataset:NAME"),
        ({"check": "exact", "answers": "dataset:gold", "pattern": "x"}, "takes no pattern"),
        ({"check": "world", "order": "both"}, "extra"),
    ],
)
def test_a_check_that_cannot_be_done_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        VerifiableModel.model_validate({"provider": "verifiable", **fields})


class Context:
    """As much of a stage's context as a comparison without an endpoint needs."""

    def check(self) -> None:
        """Nothing stops it."""

    def progress(self, done: int, total: int) -> None:
        """Nobody looks."""


def test_a_check_is_added_by_one_function_and_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(checked: Checked) -> float:
        return float(len(checked.completion) < 5)

    monkeypatch.setitem(CHECKS, "short", Check(short))
    identity = VerifiableModel(provider="verifiable", check="short").identity()
    critic = Critic.of({"critic": identity}, "critic", {})
    texts = {"right": "yes", "wrong": "a long answer"}
    for a, b, preference in (("right", "wrong", 1.0), ("wrong", "right", 0.0), ("right", "right", 0.5)):
        pair = Comparison("p", "q", texts[a], texts[b] + "")
        (verdicts,) = compare(Context(), critic, [pair], {}).verdicts  # type: ignore[arg-type]
        assert verdicts.preference == preference
        assert verdicts.margin == (a == "right") - (b == "right")
    both_wrong = Comparison("p", "q", "a long answer", "another long one")
    (verdicts,) = compare(Context(), critic, [both_wrong], {}).verdicts  # type: ignore[arg-type]
    assert verdicts.ab == "tie" and "check" in (verdicts.raw_ab or "")
