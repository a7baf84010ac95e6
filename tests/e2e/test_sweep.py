"""A sweep by a whole stack of real services: a learning rate that ruins the model loses to a sane one on dev."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.artifacts import Manifest, commit_prefix
from tests.e2e.finished import finished
from tests.e2e.test_kill_everything import start
from tests.stack import Stack

FINISH = 720
RATES = "{learning_rate: [3.0, 1.0e-3]}"
SPEC = f"""
name: swept
prompts: {{source: {{world: {{seed: 3, count: 1000}}}}, train: 300, dev: 24, eval: 24}}
policies: {{toy: {{base: {{pretrain: {{steps: 150, mixed_steps: 30}}}}, max_tokens: 16}}}}
models:
  weak: {{provider: simulated, accuracy: 0.5}}
  strong: {{provider: simulated, accuracy: 1.0}}
  judge: {{provider: simulated, error_rate: 0.0}}
arms:
  sft-strong: {{sft: {{teacher: strong, sweep: {RATES}}}}}
  rlaif-weak: {{sft: {{teacher: weak, fraction: 0.5, sweep: {RATES}}}, rl: {{critic: judge}}}}
defaults:
  sft: {{per_device_train_batch_size: 32, num_train_epochs: 2}}
  rl: {{per_device_train_batch_size: 32, learning_rate: 1.0e-4, max_steps: 4}}
evaluations:
  win-rate: {{protocol: pairwise, judge: judge, reference: weak, temperature: 0.7}}
primary: {{evaluation: "win-rate@0.7"}}
also_judge: []
null_completions: false
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = start(tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_ridiculous_learning_rate_loses_and_what_follows_takes_the_sane_one(stack: Stack, tmp_path: Path) -> None:
    done = finished(stack, SPEC, tmp_path, FINISH)
    found = {row["key"]: manifest(stack, row["key"]) for row in done.summary["stages"] if row["kind"] != "report"}
    choices = [one for one in found.values() if one.kind == "choose"]
    assert len(choices) == 2
    for one in choices:
        bad, sane = one.metrics["trials"]
        assert (one.metrics["chosen"], sane["chosen"], sane["settings"]) == (1, True, {"learning_rate": 1e-3})
        assert bad["out"] or bad["estimate"] < sane["estimate"] - 10
        trained = found[one.inputs["model/1/0"].key]
        assert one.files["model.safetensors"] == trained.files["model.safetensors"], "not a byte was copied"
    (rl,) = [one for one in found.values() if one.kind == "rl"]
    assert rl.inputs["start"].key in {one.key for one in choices}

    told = done.report
    assert told["tuning"]["counts"] == {"sft-strong": 2, "rlaif-weak": 2}
    assert len(told["tuning"]["steps"]) == 2
    hours = sum(one.cost.device_seconds for one in found.values() if one.kind == "sft") / 3600
    assert sum(told["arms"][arm]["cost"]["device_hours"] for arm in ("sft-strong", "rlaif-weak")) > hours
    assert told["verdict"]["level"] != "invalid", json.dumps(told["verdict"])
    assert "Settings chosen on dev" in done.page and "learning_rate" in done.page


def manifest(stack: Stack, key: str) -> Manifest:
    (first, *_) = stack.store.list(commit_prefix(key))
    return Manifest.from_json(stack.store.get(first.name))
