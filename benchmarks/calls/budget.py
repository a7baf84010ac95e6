"""Case 5: a budget of half the job's cost, under all that could make it be passed; by the stand-in's own bill."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import httpx
import yaml

from benchmarks.calls.rig import MODEL, Rig, load, rig
from tests.waiting import wait_until

PRICE = {"input": 5.0, "output": 20.0}
MAX_TOKENS = 200
INPUT, OUTPUT = (8, 8), (50, 150)
LATENCY_MS = 200
USED = 0.95
PATIENCE = 1800.0
STILL = 15.0
"""Seconds without a request after which a paused stage is taken for finished."""


def spec(rows: int, base_url: str, budget: float) -> dict[str, Any]:
    """Two arms whose teachers are the stand-in's; nothing that comes after teaching is waited for."""
    paid = {"provider": "openai", "base_url": base_url, "max_tokens": MAX_TOKENS, "price": PRICE}
    return {
        "name": "budget",
        "budget_usd": budget,
        "prompts": {"source": {"world": {"seed": 0}}, "train": rows, "dev": 2, "eval": 2},
        "policies": {"toy": {"base": {"pretrain": {}}, "max_tokens": 16}},
        "models": {
            "one": {**paid, "model": MODEL},
            "other": {**paid, "model": MODEL.replace("0.5", "0.9")},
            "reference": {**paid, "model": MODEL.replace("0.5", "0.6")},
            "judge": {"provider": "simulated", "error_rate": 0.1, "price": {"input": 0.0, "output": 0.0}},
        },
        "arms": {"sft-weak": {"sft": {"teacher": "one"}}, "sft-strong": {"sft": {"teacher": "other"}}},
        "evaluations": {"win": {"protocol": "pairwise", "judge": "judge", "reference": "reference"}},
        "primary": {"contrast": "teacher", "evaluation": "win@0.7"},
        "worth": {"points": 2},
    }


def kept(count: int, at_once: int, replicas: int) -> None:
    """Both teachers together are asked for `count` demonstrations, and half of them can be paid."""
    mean = (sum(INPUT) / 2 * PRICE["input"] + sum(OUTPUT) / 2 * PRICE["output"]) / 1e6
    budget = round(count * mean / 2, 6)
    faults = {"latency_ms": LATENCY_MS, "input_tokens": INPUT, "output_tokens": OUTPUT, "prices": PRICE}
    with rig(math.ceil(at_once / replicas), "--faults", json.dumps(faults)) as made:
        for name in ("conductor", "api", *(f"teacher-{number}" for number in range(1, replicas + 1))):
            made.stack.start(name)
        made.stack.wait_ready("api", 120)
        sent = httpx.post(
            f"{made.stack.api_url}/v1/experiments",
            content=yaml.safe_dump(spec(count // 2, made.base_url, budget)),
            timeout=60,
        )
        assert sent.status_code == 201, sent.text
        flushes = _flush_until_paused(made, sent.json()["id"])
        bill = made.provider.stats()["bill"]
    spent = bill["arrived"]["usd"]
    met = "met" if USED * budget <= spent <= budget else "MISSED"
    print(
        f"budget {budget:.4f} dollars, {replicas} replicas, {flushes} times FLUSHALL: the stand-in's bill is "
        f"{spent:.4f}, {spent / budget:.1%} ({met}); {load()}"
    )


def _flush_until_paused(made: Rig, id: str) -> int:
    """FLUSHALL each second until teaching is paused, and nothing was asked for a while; returns how often."""
    flushes, began, seen, still = 0, time.monotonic(), -1, time.monotonic()

    def ended() -> bool:
        nonlocal flushes, seen, still
        now = time.monotonic()
        if now - began > flushes + 1:
            made.stack.redis.flushall()
            flushes += 1
        asked = made.provider.stats()["requests"]
        if asked != seen:
            seen, still = asked, now
        if now - still < STILL:
            return False
        answer = httpx.get(f"{made.stack.api_url}/v1/experiments/{id}", timeout=60)
        stages = answer.json()["stages"] if answer.status_code == 200 else []
        return any("budget" in (stage["reason"] or "") for stage in stages if stage["kind"] == "teach")

    wait_until(ended, PATIENCE, "teaching to pause", every=0.2)
    return flushes
