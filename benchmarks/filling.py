"""A store filled with finished experiments, as a long-lived server has them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import redis

from shared.canonical import sha256_hex
from shared.experiments import PREFIX, write_summary
from shared.store import ObjectStore

KINDS = ("prompts", "teach", "sft", "sample", "label", "rl", "sample", "judge", "judge", "report")
LEVELS = ("sft_suffices", "rl_adds_value", "inconclusive", "invalid")
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def fill(store: ObjectStore, client: redis.Redis, experiments: int, stages: int) -> None:
    """Write finished experiments of so many stages each; those that are there already stay as they are."""

    def write(number: int) -> None:
        summary = finished(number, stages)
        folder = f"{PREFIX}{summary['id']}/"
        head = {name: summary[name] for name in ("id", "name", "created")}
        store.put(f"{folder}final.json", json.dumps(summary).encode())
        store.put(f"{folder}experiment.json", json.dumps(head).encode())
        write_summary(client, summary)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(write, range(experiments)))


def finished(number: int, stages: int) -> dict[str, Any]:
    """The summary of an experiment that has succeeded."""
    created = (BEGAN + timedelta(minutes=number)).isoformat()
    rows = [
        {
            "key": sha256_hex(f"{number}/{stage}"),
            "kind": KINDS[stage % len(KINDS)],
            "arms": ["sft-strong", "rlaif-weak"],
            "inputs": [],
            "state": "committed",
            "reason": None,
            "error": None,
            "progress": {"done": 500, "total": 500},
            "reused": False,
            "cost_usd": 0.01,
            "finished": created,
            "workers": [],
        }
        for stage in range(stages)
    ]
    return {
        "id": f"filled-{number}",
        "name": f"filled-{number}",
        "state": "succeeded",
        "created": created,
        "finished": created,
        "stages": rows,
        "counts": {"committed": stages, "reused": 0},
        "cost_usd": 0.01 * stages,
        "report": None,
        "level": LEVELS[number % len(LEVELS)],
    }
