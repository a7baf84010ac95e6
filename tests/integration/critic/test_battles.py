"""Arms of the simulated world against each other, through the critic worker as a real process and the real report."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.analyst.tasks import JSON, make
from services.api.estimate import estimate
from shared.artifacts import Artifact, CommitRef
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved, prompt_splits, resolve
from shared.splits import SplitPrompt
from shared.world.models import TeacherSettings
from shared.world.reward import reward
from shared.world.teacher import teach
from tests.integration.critic.test_estimated import commit
from tests.integration.llm.traffic import start_simulator, traffic
from tests.integration.llm.units import artifact, run, unit
from tests.stack import Stack
from tests.unit.specs import spec_with

KNOWS = {"sft-weak": 0.3, "sft-strong": 0.8, "start-weak": 0.2, "rlaif-weak": 0.6}
"""How often each arm's model is right, as if it had been trained."""
ARMS = [*KNOWS]
DUEL = {"protocol": "pairwise", "judge": "judge", "between": ["rlaif-weak", "sft-strong"], "temperature": 0.7}
ARENA = {"protocol": "arena", "judge": "judge", "temperature": 0.7}


def battle_spec(**arena: Any) -> dict[str, Any]:
    spec = spec_with(
        models__judge={"provider": "simulated", "error_rate": 0.0},
        evaluations={"duel": DUEL, "arena": {**ARENA, **arena}},
        primary={"contrast": "headline", "evaluation": "duel@0.7"},
    )
    del spec["arms"]["rlaif-strong"]
    return spec


class Fought:
    """An experiment whose arms have answered as KNOWS says, and whose judge stages a worker has done."""

    def __init__(self, stack: Stack, resolved: Resolved) -> None:
        self.plan: Plan = plan(resolved)
        self.prompts = [one for one in prompt_splits(resolved.parsed, {}, stack.store).prompts if one.split == "eval"]
        report = self.plan.stages[self.plan.report]
        self.params = report.params
        battles = {row["input"]: row for row in report.params["battles"]}
        samples: dict[str, CommitRef] = {}
        for name, row in battles.items():
            stage = self.plan.stages[report.inputs[name]]
            for side, arm in (("samples", row["a"]), ("reference", row["b"])):
                key = stage.inputs[side]
                samples.setdefault(key, commit(stack, self.plan.stages[key], self.rows(arm)))
        keys = {key for name, key in report.inputs.items() if name.startswith(("judge/", "battle/"))}
        self.done = {key: self._judge(stack, key, samples) for key in keys}
        self.artifacts = {name: self.done[key] for name, key in report.inputs.items() if key in self.done}

    def _judge(self, stack: Stack, key: str, samples: dict[str, CommitRef]) -> Artifact:
        stage = self.plan.stages[key]
        inputs = {name: samples[source] for name, source in stage.inputs.items()}
        return artifact(stack, run(stack, unit("judge", stage.params, inputs, options=stage.options), 150))

    def answer(self, arm: str, prompt: SplitPrompt) -> str:
        return teach(TeacherSettings(accuracy=KNOWS[arm], seed=ARMS.index(arm)), prompt.prompt)

    def rows(self, arm: str) -> list[dict[str, Any]]:
        return [
            {"prompt_id": one.prompt_id, "sample_index": 0, "prompt": one.prompt, "completion": self.answer(arm, one)}
            for one in self.prompts
        ]

    def truth(self, a: str, b: str) -> float:
        """How often a's answers are better, as the world's true reward has it."""
        scores = [[reward(one.prompt, self.answer(arm, one)) for arm in (a, b)] for one in self.prompts]
        return float(np.mean([50.0 if one == other else 100.0 * (one > other) for one, other in scores]))

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(make(self.params, self.artifacts, partial=False)[JSON])
        return found


def test_a_duel_and_an_arena_find_what_the_world_knows(critic: Stack, tmp_path: Path) -> None:
    log = start_simulator(critic, latency_ms=0)
    resolved = resolve(parse_spec(battle_spec()), critic.store, Settings())
    fought = Fought(critic, resolved)
    assert len(fought.done) == 6, "the duel is one of the arena's six pairs"
    report = fought.report

    (matrix,) = report["win_rates"]
    for a, b in combinations(ARMS, 2):
        assert matrix["rows"][a][b]["estimate"] == pytest.approx(fought.truth(a, b))
    duel = report["contrasts"]["headline"]["duel@0.7"]
    assert duel["estimate"] == pytest.approx(2 * fought.truth("rlaif-weak", "sft-strong") - 100)
    assert report["verdict"]["level"] in {"sft_suffices", "inconclusive"}
    assert "head to head" in report["verdict"]["sentence"]
    ratings = {arm: one["evaluations"]["arena@0.7"]["estimate"] for arm, one in report["arms"].items()}
    means = {arm: np.mean([fought.truth(arm, other) for other in ARMS if other != arm]) for arm in ARMS}
    assert sorted(ratings, key=ratings.__getitem__) == sorted(means, key=means.__getitem__)
    assert report["arenas"]["arena@0.7"]["comparisons"] == 6 * 40

    shown = estimate(resolved, critic.store, Settings(data_dir=tmp_path))
    judged = [row for row in shown["stages"] if row["kind"] == "judge"]
    # What the next plan of it would ask is what was asked: all of it is there. Arms often give the same answer here.
    fresh = sum(row["requests"] - row["repeated"] for row in judged)
    assert fresh == sum(row["in_ledger"] for row in judged) == len(traffic(log)) > 100


def test_pairs_drawn_for_each_prompt_cost_what_the_plan_says_and_are_rated(stack: Stack, tmp_path: Path) -> None:
    # Servers of its own: of a ledger with another test's answers it would pay for less than the plan says.
    critic, log = stack, start_simulator(stack, latency_ms=0)
    critic.start("critic")
    resolved = resolve(parse_spec(battle_spec(pairs_per_prompt=2)), critic.store, Settings())
    before = estimate(resolved, critic.store, Settings(data_dir=tmp_path / "before"))
    fought = Fought(critic, resolved)
    arena = {key: one for key, one in fought.done.items() if fought.plan.stages[key].params["protocol"] == "arena"}
    rows = [row for one in arena.values() for row in one.rows().to_pylist()]
    assert len(arena) == 6 and len(rows) == 2 * 40
    per_prompt = {one.prompt_id: sum(row["prompt_id"] == one.prompt_id for row in rows) for one in fought.prompts}
    assert set(per_prompt.values()) == {2}
    # Six stages of 14 prompts, 40 of the duel's, each in both orders: nobody is asked about identical answers.
    assert sum(row["requests"] for row in before["stages"] if row["kind"] == "judge") == 2 * (6 * 14 + 40)
    identical = sum(row["completion"] == row["reference"] for row in rows)
    assert len(traffic(log)) <= 2 * (2 * 40 - identical + 40)
    report = fought.report
    assert report["arenas"]["arena@0.7"]["comparisons"] == 80
    assert all(np.isfinite(one["evaluations"]["arena@0.7"]["interval"]).all() for one in report["arms"].values())
    (matrix,) = report["win_rates"]
    assert matrix["rows"]["rlaif-weak"]["sft-strong"]["n"] == 40, "the duel's, which saw all prompts"
    assert matrix["rows"]["sft-weak"]["sft-strong"]["n"] < 30
