"""What people see of a stage whose endpoint may not be asked, or cannot be: through the real conductor and teacher."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.faults.stubbed import submit, summary
from tests.stack import Stack
from tests.waiting import wait_until


def teaching(stack: Stack, id: str, state: str, reason: str) -> dict[str, Any]:
    """A `teach` stage in this state for this reason, as soon as there is one."""

    def found() -> dict[str, Any] | None:
        rows = [row for row in summary(stack, id)["stages"] if row["kind"] == "teach" and row["state"] == state]
        return next((row for row in rows if reason in (row["reason"] or "")), None)

    row = wait_until(found, 60, f"a teach stage to be {state}: {reason}")
    assert row is not None
    return row


def test_a_stage_says_that_it_waits_for_a_rate_limit(stack: Stack) -> None:
    for name in ("simulator", "conductor", "teacher"):
        stack.start(name)
    id = submit(stack, models__strong__limits={"requests_per_minute": 2})
    teaching(stack, id, "waiting", "rate limit, models.strong: next slot in ")


@pytest.mark.slow
def test_a_stage_waits_for_an_endpoint_that_is_down_and_goes_on_when_it_is_back(stack: Stack) -> None:
    for name in ("conductor", "teacher"):
        stack.start(name)
    id = submit(stack)
    row = teaching(stack, id, "waiting", "tried again in ")
    assert row["reason"].startswith("models.") and ".base_url: http" in row["reason"]
    stack.start("simulator")
    wait_until(
        lambda: {row["state"] for row in summary(stack, id)["stages"] if row["kind"] == "teach"} == {"committed"},
        60,
        "the stages to go on",
    )
