"""What the report says of answers that are none."""

from __future__ import annotations

from services.analyst.answer_notes import answer_notes
from services.analyst.model import StageFacts


def facts(kind: str, outcomes: dict[str, int], reasked: dict[str, int]) -> StageFacts:
    return StageFacts(kind, kind, "host", "", "", outcomes=outcomes, reasked=reasked)


def test_answers_that_are_none_are_counted_by_kind_of_stage() -> None:
    stages = [
        facts("teach", {"answered": 990, "truncated": 9}, {}),
        facts("teach", {"answered": 500, "refused": 1}, {"truncated": 2}),
        facts("judge", {"answered": 100}, {}),
        facts("sft", {}, {}),
    ]
    assert [note.text for note in answer_notes(stages)] == [
        "teach: of 1,500 answers 9 were truncated, 1 was refused; they count as they are.",
        "teach: 2 were truncated and were asked again, as the spec says; all were paid for.",
    ]


def test_answers_whose_cost_nobody_said_are_told_of() -> None:
    stages = [StageFacts("a", "teach", "host", "", "", outcomes={"answered": 9}, without_usage=2)]
    assert [note.text for note in answer_notes(stages)] == [
        "teach: 2 answers came without usage and count with the most that they can have cost: less was paid.",
    ]
