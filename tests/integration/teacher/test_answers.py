"""Answers that are none, and answers that do not say what they cost: kept, counted and shown from the endpoint to the
experiment's state."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from shared.artifacts import Manifest
from tests.integration.faults.stubbed import submit, summary
from tests.integration.llm.test_retries import entries
from tests.provider import start_provider
from tests.stack import Stack
from tests.waiting import wait_until

PRICE = {"input": 1000.0, "output": 1000.0}
FAULTS = {
    "prices": {"input": 1000.0, "output": 1000.0},
    "rate_refusal": 0.1,
    "rate_length": 0.1,
    "rate_content_filter": 0.1,
    "rate_no_usage": 0.3,
}
OUTCOMES = {"refusal": "refused", "length": "truncated", "content_filter": "filtered"}


def teachings(stack: Stack, id: str) -> list[dict[str, Any]]:
    return [row for row in summary(stack, id)["stages"] if row["kind"] == "teach"]


def test_what_became_of_the_requests_is_counted_and_a_cost_nobody_said_is_not_nothing(stack: Stack) -> None:
    provider = start_provider(stack, json.dumps(FAULTS))
    for name in ("conductor", "teacher"):
        stack.start(name)
    # References alone may be empty, as what a filter took is.
    models = {f"models__{name}__price": PRICE for name in ("weak", "strong")}
    id = submit(stack, **models)
    # What was filtered is empty, and no demonstration may be: those stages fail, and the references' are what counts.
    wait_until(lambda: any(row["state"] == "committed" for row in teachings(stack, id)), 60, "a stage")
    wait_until(lambda: {row["state"] for row in teachings(stack, id)} <= {"committed", "failed"}, 90, "the others")
    found = entries(stack)
    for row in [row for row in teachings(stack, id) if row["state"] == "committed"]:
        (name,) = [info.name for info in stack.store.list("commits/") if row["key"] in info.name]
        metrics = Manifest.from_json(stack.store.get(name)).metrics
        mine = [entry for entry in found if entry.stage == row["key"]]
        outcomes = Counter(OUTCOMES.get(entry.answer.finish_reason, "answered") for entry in mine)
        assert row["answers"] == {
            "outcomes": metrics["outcomes"],
            "reasked": {},
            "unparsable": 0,
            "without_usage": metrics["without_usage"],
        }
        if metrics["requests_paid"] == metrics["requests"]:
            assert row["answers"]["outcomes"] == outcomes
            assert row["answers"]["without_usage"] == sum(not entry.answer.says_usage for entry in mine) > 0
            assert row["cost_usd"] == pytest.approx(sum(entry.usd or 0.0 for entry in mine))
    silent = [entry for entry in found if not entry.answer.says_usage]
    assert silent and all(entry.usd for entry in silent)
    # Never less than what was billed.
    assert sum(entry.usd or 0.0 for entry in found) >= provider.stats()["bill"]["written"]["usd"] > 0
