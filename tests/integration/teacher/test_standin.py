"""A real teacher against the stand-in for a paid provider, in every mood of it: nothing answered is asked twice."""

from __future__ import annotations

from typing import Any

import pytest

from shared.artifacts import Artifact
from shared.llm.batches import PREFIX
from shared.llm.providers import PROVIDERS
from shared.units import Unit
from shared.world.models import TeacherSettings
from shared.world.names import encode
from tests.integration.llm.units import artifact, committed, run, send, send_until_committed, unit
from tests.provider import start_provider
from tests.stack import Stack
from tests.waiting import wait_until

MODEL = encode(TeacherSettings(accuracy=0.5))
ROWS = 60
MOODS = """{
    "latency_ms": 20, "latency_sigma": 0.5, "attempts": 2, "retry_after_s": 0.1, "storm_every_s": 4, "storm_s": 0.3,
    "rate_429": 0.1, "rate_500": 0.1, "rate_overloaded": 0.05, "rate_drop_before": 0.05, "rate_drop_during": 0.05,
    "rate_truncated_json": 0.05, "rate_slow_body": 0.05, "slow_body_s": 0.3, "rate_refusal": 0.1, "rate_no_usage": 0.1
}"""


def teach(stack: Stack, fields: dict[str, Any]) -> Unit:
    model: Any = PROVIDERS[fields["provider"]].model_validate({"model": MODEL, **fields})
    sizes = {"train": ROWS, "dev": 2, "eval": 2}
    prompts = run(stack, unit("prompts", {**sizes, "source": {"world": {"seed": 0, "count": 200}}}))
    params = {"model": model.identity(), "split": "train", "start": 0.0, "stop": 1.0}
    return unit("teach", params, {"prompts": prompts}, options={"name": "weak", **model.options()})


def result(stack: Stack, given: Unit) -> Artifact:
    ref = committed(stack, given)
    assert ref is not None
    return artifact(stack, ref)


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["openai", pytest.param("anthropic", marks=pytest.mark.slow)])
def test_a_teacher_gets_every_answer_once_from_a_provider_in_all_its_moods(stack: Stack, vendor: str) -> None:
    provider = start_provider(stack, MOODS)
    url = provider.base_url if vendor == "openai" else provider.url
    stack.start("teacher")
    given = teach(stack, {"provider": vendor, "base_url": url})
    send_until_committed(stack, given)
    made = result(stack, given)
    assert made.rows().num_rows == ROWS
    assert made.manifest.metrics["outcomes"]["refused"] > 0
    assert provider.stats()["asked_again"] == 0


@pytest.mark.slow
def test_batches_that_fail_in_part_expire_and_find_a_full_queue_are_answered_once_though_a_worker_dies(
    stack: Stack,
) -> None:
    batches = '"seconds": 0.6, "window_s": 0.4, "rate_failed": 0.2, "queue_tokens": 40000'
    provider = start_provider(stack, f'{{"batches": {{{batches}}}, "prices": {{"input": 1, "output": 1}}}}')
    stack.start("teacher")
    given = teach(stack, {"provider": "openai", "base_url": provider.base_url, "mode": "batch"})
    wait_until(lambda: send_again(stack, given) or provider.stats()["batches"]["batches"] > 1, 60, "a second batch")
    stack.redis.flushall()
    stack.restart("teacher")
    send_until_committed(stack, given)
    assert result(stack, given).rows().num_rows == ROWS
    seen = provider.stats()
    assert (seen["distinct"], seen["max_repeats"], seen["bill"]["batches"]["answers"]) == (ROWS, 1, ROWS)
    if list(stack.store.list(PREFIX)):
        # Its answers were taken before the restart, so no stage looks at it again; the conductor has it cleared away.
        stack.start("conductor")
    wait_until(
        lambda: not provider.stats()["batches"]["files"] and not list(stack.store.list(PREFIX)), 60, "files to go"
    )


def send_again(stack: Stack, given: Unit) -> bool:
    """Queue it where it is not, as the conductor does; always False."""
    if stack.redis.llen("teacher") == 0:
        send(stack, given)
    return False
