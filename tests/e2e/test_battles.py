"""Arms against each other by a whole stack of real services: two trained arms, their base and teachers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.finished import finished
from tests.e2e.test_kill_everything import start
from tests.stack import Stack

SPEC = """
name: battles
prompts: {source: {world: {seed: 3, count: 1000}}, train: 300, eval: 30}
policies: {toy: {base: {pretrain: {steps: 150, mixed_steps: 30}}, max_tokens: 16}}
models:
  weak: {provider: simulated, accuracy: 0.2}
  strong: {provider: simulated, accuracy: 1.0}
  judge: {provider: simulated, error_rate: 0.0}
arms:
  sft-weak: {sft: {teacher: weak}}
  sft-strong: {sft: {teacher: strong}}
contrasts: {headline: [sft-weak, sft-strong], student: [sft-strong, "teacher:strong"]}
defaults:
  sft: {per_device_train_batch_size: 32, learning_rate: 1.0e-3, num_train_epochs: 2}
evaluations:
  duel: {protocol: pairwise, judge: judge, between: [sft-weak, sft-strong], temperature: 0.0}
  arena: {protocol: arena, judge: judge, temperature: 0.0, pairs_per_prompt: 6}
primary: {evaluation: "duel@0.0"}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = start(tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_duel_decides_and_an_arena_rates_everybody(stack: Stack, tmp_path: Path) -> None:
    done = finished(stack, SPEC, tmp_path, 600)
    report = done.report
    of = f"{stack.api_url}/v1/experiments/{done.id}"

    assert "head to head" in report["verdict"]["sentence"] and report["verdict"]["level"] != "invalid"
    ratings = {arm: one["evaluations"]["arena@0.0"]["estimate"] for arm, one in report["arms"].items()}
    assert set(ratings) == {"sft-weak", "sft-strong", "base", "teacher:weak", "teacher:strong"}
    assert max(ratings, key=ratings.__getitem__) == "teacher:strong"
    assert report["arenas"]["arena@0.0"]["comparisons"] == 6 * 30
    assert set(report["contrasts"]["student"]) == {"arena@0.0"} and report["arms"]["base"]["unjudged"] == ["duel@0.0"]

    names = [one["name"] for one in httpx.get(f"{of}/figures", timeout=30).json()["items"]]
    assert {"wins1-wide", "wins1-narrow"} <= set(names)
    assert b"teacher:strong" in httpx.get(f"{of}/figures/wins1-wide.svg", timeout=30).content
    assert "Who beats whom" in done.page and "wins1-wide.svg" in done.page

    shown = httpx.get(f"{of}/samples", timeout=30).json()
    won = report["arms"]["sft-weak"]["evaluations"]["duel@0.0"]["estimate"]
    assert won == pytest.approx(100 * (shown["counts"]["a"] + shown["counts"]["tie"] / 2) / 30)
    query = {"arm_a": "teacher:strong", "arm_b": "base", "evaluation": "arena@0.0"}
    fought = httpx.get(f"{of}/samples", params=query, timeout=30).json()
    assert 0 < fought["total"] < 30 and fought["counts"]["a"] > fought["counts"]["b"]
    assert all(row["reference"] is None for row in fought["items"])
    words = httpx.get(f"{stack.api_url}/experiments/{done.id}/samples", params=query, timeout=30).text
    assert "compared the two with each other" in words and "against the other" in words
    none = {"arm_a": "base", "arm_b": "sft-weak", "evaluation": "duel@0.0"}
    assert httpx.get(f"{of}/samples", params=none, timeout=30).status_code == 404
