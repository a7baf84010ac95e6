"""What both sides of a difference were made with, and cost against quality, as the page's tables say it."""

from __future__ import annotations

from typing import Any

from services.api.pages.results import left_out
from services.api.pages.tables import frontier, matches

REPORT: dict[str, Any] = {
    "verdict": {"primary": {"contrast": "headline", "evaluation": "win-rate@0.7"}},
    "matches": {
        "added": {"prompts": [10, 10], "samples": [1.0, 4.0]},
        "headline": {
            "prompts": [1700, 1700],
            "steps": [104, 100],
            "labels": [1445, 0],
            "training_flops": [1.61e11, 7.16e10],
            "usd": [0.004, 0.0],
            "tokens": [None, 5],
            "samples": [1.0, 1.0],
        },
    },
}
PAIRS = {"headline": ("rlaif-weak", "sft-strong")}


def test_the_difference_that_decides_is_first_and_says_what_was_not_held_equal() -> None:
    first, second = matches(REPORT, PAIRS)
    assert (first.contrast, first.a, first.b) == ("headline", "rlaif-weak", "sft-strong")
    assert (second.a, second.b, second.apart) == ("A", "B", "samples for each answer")
    assert first.apart == "pairs that the critic compared, FLOPs of training, US dollars, tokens seen in training"


def test_amounts_are_written_as_they_are_read() -> None:
    (first, _) = matches(REPORT, PAIRS)
    told = {row.title: (row.a, row.b) for row in first.rows}
    assert told["FLOPs of training"] == ("1.61 × 10¹¹", "7.16 × 10¹⁰")
    assert told["US dollars"] == ("$0.0040", "$0.00")
    assert told["Tokens seen in training"] == ("not known", "5")
    assert told["Prompts used"] == ("1,700", "1,700")


def test_a_frontier_says_what_is_declared_and_what_points_come_to() -> None:
    price = {"alone": 3.0, "marginal": 1.0, "reusable": 2.0, "spread": 2.0, "declared": 2.0, "device_hours": 0.5}
    point = {"arm": "sft", "price": price, "estimate": 51.0, "interval": [49.0, 53.0], "on_frontier": True}
    net = {"contrast": "headline", "usd_per_point": 2.0, "extra_cost": 1.0, "estimate": -9.4, "interval": [-14.4, -4.6]}
    found = frontier({"frontier": {"evaluation": "e", "device_hour_usd": None, "bases": 1, "points": [point],
                                   "nets": [net]}})  # fmt: skip
    assert found is not None and found.declared and found.rows[0].best and found.hour == ""
    assert found.rows[0].score == "51.0 (49.0 to 53.0)"
    assert "come to −$9.40 (95% interval −$14.40 to −$4.60)" in found.nets[0]
    assert frontier({"frontier": None}) is None


def test_prompts_that_an_arms_context_does_not_hold_are_told_by_split() -> None:
    assert left_out({"eval": 2, "train": 1_000}) == "Left out: 2 eval and 1,000 train prompts too long for its context."
    assert left_out({}) == ""
