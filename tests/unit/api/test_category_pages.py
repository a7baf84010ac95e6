"""The page's tables by category, and its words about samples that are scored alone."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from services.api.pages.categories import category_tables
from services.api.pages.drawing import TEMPLATES
from services.api.pages.samplewords import told_of
from shared.protocols import PROTOCOLS


def mean(estimate: float) -> dict[str, Any]:
    return {"estimate": estimate, "standard_error": 0.1, "interval": [estimate - 0.2, estimate + 0.2], "n": 10}


DIFFERENCE = {"estimate": 0.25, "standard_error": 0.1, "interval": [0.05, 0.45], "n_prompts": 9}
PARTS: dict[str, Any] = {
    "math": {"arms": {"a": mean(5.5), "b": None}, "difference": None},
    "stem": {"arms": {"a": mean(7.25), "b": mean(7.0)}, "difference": DIFFERENCE},
}
REPORT = {
    "categories": {
        "mt@0.7": {
            "unit": "points of 10",
            "contrast": "headline",
            "categories": PARTS,
            "turns": {"1": PARTS["stem"], "2": PARTS["stem"]},
        }
    }
}


def test_categories_come_before_turns_and_what_is_not_there_is_a_dash() -> None:
    (table,) = category_tables(REPORT)
    assert (table.evaluation, table.unit, table.contrast, table.arms) == (
        "mt@0.7",
        "points of 10",
        "headline",
        ("a", "b"),
    )
    assert [row.name for row in table.rows] == ["math", "stem", "turn 1", "turn 2"]
    assert table.rows[0].cells == (("5.50", "5.30 to 5.70; n 10"), ("–", "")) and table.rows[0].difference == ("–", "")
    assert table.rows[1].difference == ("0.25", "0.05 to 0.45; n 9")


@pytest.mark.parametrize("report", [{}, {"categories": {}}])
def test_a_report_without_categories_has_no_such_table(report: dict[str, Any]) -> None:
    assert list(category_tables(report)) == []


@pytest.mark.parametrize(
    ("spec", "lead", "how"),
    [
        ({"protocol": "pairwise", "judge": "j", "reference": "r"}, "in both orders", " of 100 against the reference"),
        ({"protocol": "verifiable", "check": "world"}, "check: world", "% right"),
        ({"protocol": "reward_model", "model": "rm"}, "rewards of rm", " units of reward"),
        ({"protocol": "mt_bench", "judge": "j"}, "two turns", " of 10"),
    ],
)
def test_samples_are_introduced_by_how_they_were_scored(spec: dict[str, Any], lead: str, how: str) -> None:
    found = told_of(TypeAdapter(PROTOCOLS[spec["protocol"]]).validate_python(spec))
    assert lead in found["lead"] and found["how"] == how


def test_both_answers_of_a_conversation_are_shown_with_their_ratings() -> None:
    side = {"arm": "a", "completion": "First.", "score": 6.5, "verdict_ab": None, "verdict_ba": None}
    side |= {"raw_ab": None, "raw_ba": None, "completion_2": "Second.", "score_1": 9.0, "score_2": 4.0}
    side |= {"raw_1": "Good. [[9]]", "raw_2": "Less so. [[4]]"}
    row: dict[str, Any] = {
        "prompt": "One?",
        "prompt_id": "q",
        "question_2": "Two?",
        "reference": None,
        "category": "math",
        "a": side,
        "b": side,
    }
    row |= {"winner": "tie", "orders_disagree": False, "judges_disagree": False}
    choice = {"arm_a": "a", "arm_b": "a", "evaluation": "mt@0.7", "seed": 0}
    told = told_of(TypeAdapter(PROTOCOLS["mt_bench"]).validate_python({"protocol": "mt_bench", "judge": "j"}))
    page = TEMPLATES.get_template("samples.html").render(
        here="", login=False, form="", experiment={"id": "e", "name": "n"}, choice=choice, items=[row], total=1,
        start=0,
        choices={"arms": ["a"], "evaluations": ["mt@0.7"], "seeds": [0]}, counts={}, categories={},
        direct=False, onward="", back="", parquet="",
        asked={"category": "", "filter": "", "winner": "", "disagreement": ""}, **told,
    )  # fmt: skip
    for words in ("6.50 of 10", "Second answer", "Two?", "First answer: 9 of 10", "Less so. [[4]]"):
        assert words in page
    assert "against the reference" not in page
