"""Case 3: how much of a shared limit the replicas use, and whether they ever pass it, by the stand-in's arrivals."""

from __future__ import annotations

import json
import math

from benchmarks.calls.rig import MODEL, load, rig
from shared.llm.providers.base import Limits
from shared.llm.providers.openai import OpenAIModel
from tests.waiting import wait_until

REQUESTS_PER_MINUTE = 3000
TOKENS_PER_MINUTE = 600_000
USED = 0.95
MAX_TOKENS = 300
OUTPUT = (80, 280)
LATENCY_MS, SIGMA = 500, 0.5


def kept(replicas: int, minutes: int, at_once: int) -> None:
    """Four replicas take bursts of units for some minutes. The stand-in counts and does not enforce."""
    faults = {"latency_ms": LATENCY_MS, "latency_sigma": SIGMA, "output_tokens": OUTPUT}
    count = math.ceil(REQUESTS_PER_MINUTE * minutes * 1.1)
    with rig(math.ceil(at_once / replicas), "--faults", json.dumps(faults)) as made:
        for number in range(1, replicas + 1):
            made.worker(f"teacher-{number}")
        model = OpenAIModel(
            provider="openai",
            model=MODEL,
            base_url=made.base_url,
            max_tokens=MAX_TOKENS,
            limits=Limits(requests_per_minute=REQUESTS_PER_MINUTE, tokens_per_minute=TOKENS_PER_MINUTE),
        )
        made.send(made.teach(made.prompts(count), count, "limits", model))
        wait_until(lambda: made.traffic(), 60, "the first request")
        start = made.traffic()[0]["arrived"]
        end = start + 60 * minutes
        wait_until(lambda: made.traffic()[-1]["arrived"] > end, 60 * minutes + 300, "the minutes to pass", every=2)
        seen = made.provider.stats()
        arrivals = [line["arrived"] for line in made.traffic() if line["arrived"] <= end]
    most, tokens_each = seen["most_in_a_minute"], seen["bill"]["arrived"]
    mean = (tokens_each["input_tokens"] + tokens_each["output_tokens"]) / tokens_each["answers"]
    of_requests = len(arrivals) / (REQUESTS_PER_MINUTE * minutes)
    of_tokens = len(arrivals) * mean / (TOKENS_PER_MINUTE * minutes)
    by_minute = [sum(start + 60 * at <= one < start + 60 * (at + 1) for one in arrivals) for at in range(minutes)]
    passed = most["requests"] > REQUESTS_PER_MINUTE or most["tokens"] > TOKENS_PER_MINUTE
    met = "met" if not passed and max(of_requests, of_tokens) >= USED else "MISSED"
    print(
        f"{replicas} replicas, {minutes} minutes: {of_requests:.1%} of the requests, {of_tokens:.1%} of the tokens "
        f"({mean:.0f} each); most in any 60 s: {most['requests']} of {REQUESTS_PER_MINUTE} requests, {most['tokens']} "
        f"of {TOKENS_PER_MINUTE} tokens ({met}); by minute: {by_minute}; {load()}"
    )
