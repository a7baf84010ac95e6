"""Who is judged beside the arms, by a whole stack of real services: trained arms, an untrained base, teachers, null
completions, and temperatures chosen on dev. First by a judge that knows the truth, then by one that likes what is long.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.finished import finished
from tests.e2e.test_kill_everything import start
from tests.stack import Stack

FINISH = 420
BEST = "win-rate@best_on_dev"
SPEC = f"""
name: beside
prompts: {{source: {{world: {{seed: 3, count: 1000}}}}, train: 300, dev: 12, eval: 24}}
policies: {{toy: {{base: {{pretrain: {{steps: 150, mixed_steps: 30}}}}, max_tokens: 16}}}}
models:
  weak: {{provider: simulated, accuracy: 0.4}}
  strong: {{provider: simulated, accuracy: 1.0}}
  reference: {{provider: simulated, accuracy: 0.6, seed: 1}}
  judge: {{provider: simulated, JUDGE}}
arms:
  sft-weak: {{sft: {{teacher: weak}}}}
  sft-strong: {{sft: {{teacher: strong}}}}
contrasts: {{headline: [sft-weak, sft-strong], taught: [sft-strong, base], student: [sft-strong, "teacher:strong"]}}
defaults:
  sft: {{per_device_train_batch_size: 32, learning_rate: 1.0e-3, num_train_epochs: 2}}
evaluations:
  win-rate: {{protocol: pairwise, judge: judge, reference: reference, temperature: [1.0, 0.0], best_on_dev: true}}
primary: {{evaluation: "{BEST}"}}
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = start(tmp_path_factory.mktemp("stack"))
    yield made
    made.stop()


def run(stack: Stack, folder: Path, judge: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    """What POST said, the report, and its HTML."""
    done = finished(stack, SPEC.replace("JUDGE", judge), folder, FINISH)
    return done.created, done.report, done.page


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_everybody_is_judged_and_a_judge_that_likes_length_is_found_out(stack: Stack, tmp_path: Path) -> None:
    created, honest, page = run(stack, tmp_path, "error_rate: 0.0")
    assert "another judge than judge" in created["warnings"][0]
    arms = honest["arms"]
    assert {"base", "teacher:weak", "teacher:strong", "sft-weak", "sft-strong"} == set(arms)
    strong = arms["teacher:strong"]["evaluations"]
    assert strong["win-rate@1.0"] == strong["win-rate@0.0"] == strong[BEST]
    assert strong[BEST]["estimate"] > arms["teacher:weak"]["evaluations"][BEST]["estimate"]
    assert arms["base"]["evaluations"]["win-rate@0.0"]["n"] == 24
    choices = honest["best_on_dev"][BEST]
    assert set(choices) == {"base", "sft-weak", "sft-strong"}
    for arm, chosen in choices.items():
        best = max(chosen["dev"].values())
        assert chosen["dev"][chosen["evaluation"]] == best and chosen["prompts"] == 12
        assert arms[arm]["evaluations"][BEST] == arms[arm]["evaluations"][chosen["evaluation"]]
    assert set(honest["contrasts"]["student"]) == {"win-rate@1.0", "win-rate@0.0", BEST}
    assert honest["verdict"]["level"] != "invalid", honest["verdict"]["reasons"]
    assert (
        max(of[BEST]["estimate"] for of in honest["nulls"].values()) < arms["sft-weak"]["evaluations"][BEST]["estimate"]
    )
    assert "Beside the recipes" in page and "At its own best" in page and "null:generic" in page

    _, fooled, page = run(stack, tmp_path, "error_rate: 0.0, length_bias: 1.0")
    assert fooled["verdict"]["level"] == "invalid"
    assert "null:generic" in fooled["verdict"]["reasons"][0] and "does not read" in json.dumps(fooled["verdict"])
    assert fooled["nulls"]["null:generic"]["win-rate@0.0"]["estimate"] == 100.0
    assert "above sft-weak" in page
