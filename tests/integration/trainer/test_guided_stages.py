"""What a worker hands to a training that samples for itself, and such trainings from end to end as they are planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared import records
from shared.artifacts import CommitRef, StageResult
from shared.context import StageContext
from shared.datasets import add_dataset
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from tests.unit.specs import resolved, spec_with
from workers.trainer.job import ROWS, Job
from workers.trainer.prepare import prepare

ARGS = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2}
SFT = {"teacher": "weak", "fraction": 0.25}
CHECK = {"provider": "verifiable", "check": "regex", "pattern": "red|green"}


def prompts() -> Any:
    """PROMPTS: four eval prompts and sixteen to train on."""
    rows = [
        {"prompt_id": f"p{number}", "prompt": f"say {tiny.THINGS[number % 9]}", "split": split, "rank": rank}
        for number, (split, rank) in enumerate([*(("eval", n) for n in range(4)), *(("train", n) for n in range(16))])
    ]
    return records.from_rows(rows, records.PROMPTS)


def planned(rl: Mapping[str, Any]) -> tuple[Plan, Stage]:
    """The plan of a spec with an arm more, and that arm's last training."""
    args = {"num_generations": 4} if rl["method"] in {"grpo", "rloo"} else {}
    spec = spec_with(
        models__check=CHECK,
        arms__other={"sft": SFT, "rl": {**rl, "args": {**ARGS, **args}}},
        defaults={"reward": ARGS},
        policies__toy__max_tokens=5,
    )
    made = plan(resolved(spec))
    report = made.stages[made.report]
    rows = [row for row in report.params["training"] if row["arm"] == "other"]
    return made, made.stages[report.inputs[rows[-1]["input"]]]


@pytest.fixture
def given(place: Place) -> CommitRef:
    return place.commit("prompts", {"prompts.parquet": prompts()})


def prepared(place: Place, stage: Stage, **inputs: CommitRef) -> tuple[Job, list[dict[str, Any]]]:
    """The job and rows that a training would be started with."""
    found: list[Any] = []

    def handler(ctx: StageContext) -> StageResult:
        folder = ctx.workdir / "job"
        folder.mkdir()
        found.extend((prepare(ctx, folder, False), pq.read_table(folder / ROWS).to_pylist()))
        return StageResult({"nothing.json": b"{}"})

    unit = place.unit(stage.kind, stage.params, **{name: inputs[name] for name in stage.inputs})
    assert place.attempt(unit, handler).outcome == "committed", place.log(unit)
    return found[0], found[1]


def test_a_check_s_job_has_the_rl_step_s_prompts_and_how_to_sample(
    place: Place, base: CommitRef, given: CommitRef
) -> None:
    _, stage = planned({"method": "grpo", "critic": "check", "temperature": 0.9})
    job, rows = prepared(place, stage, start=base, prompts=given)
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in prompts().to_pylist()[8:]]
    assert job.grader is not None and (job.grader.check, job.grader.pattern) == ("regex", "red|green")
    assert job.sampling is not None and (job.sampling.temperature, job.sampling.max_tokens) == (0.9, 5)
    assert job.teacher is None and job.beta == 0.0


def test_right_answers_go_with_their_prompts_and_prompts_without_one_stay_away(
    place: Place, base: CommitRef, given: CommitRef
) -> None:
    _, stage = planned({"method": "rloo", "critic": "check"})
    answers = [{"prompt_id": f"p{number}", "completion": f"a{number}"} for number in range(19)]
    sha256 = add_dataset(place.store, "answers", pa.Table.from_pylist(answers), kind="completions")
    stage.params["reward"] = {"provider": "verifiable", "check": "exact", "dataset": sha256}
    _, rows = prepared(place, stage, start=base, prompts=given)
    assert [row["answer"] for row in rows] == [f"a{number}" for number in range(8, 19)]


def test_a_teacher_s_checkpoint_is_at_hand(place: Place, base: CommitRef, given: CommitRef) -> None:
    _, stage = planned({"method": "distill", "teacher": {"arm": "sft-strong"}})
    job, _ = prepared(place, stage, start=base, prompts=given, teacher=base)
    assert job.teacher is not None and job.teacher.folder and job.grader is None and job.beta == 1.0


def trained(place: Place, stage: Stage, **inputs: CommitRef) -> Any:
    unit = place.unit(stage.kind, stage.params, **{name: inputs[name] for name in stage.inputs})
    assert place.train(unit).outcome == "committed", place.log(unit)
    return place.artifact(unit), place.reference(unit)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["grpo", "rloo", "online_dpo"])
def test_a_reward_model_and_then_what_it_rewards(
    place: Place, base: CommitRef, given: CommitRef, preferences: CommitRef, method: str
) -> None:
    made, stage = planned({"method": method, "critic": "critic", "reward": {"holdout": 0.2}})
    model, reference = trained(place, made.stages[stage.inputs["reward"]], start=base, preferences=preferences)
    assert model.manifest.metrics["held_out"]["prompts"] == 2 and model.manifest.metrics["steps"] == 3
    found, _ = trained(place, stage, start=base, prompts=given, reward=reference)
    assert (found.manifest.metrics["steps"], found.manifest.metrics["examples"]) == (3, 12)
    curve = found.table("loss.parquet")
    assert curve.num_rows == 3 and "reward" in curve.column_names
    assert ("rewards/tied" if method == "online_dpo" else "rewards/reward_model/mean") in curve.column_names


@pytest.mark.slow
def test_a_distillation_as_planned_and_the_same_bytes_again(place: Place, base: CommitRef, given: CommitRef) -> None:
    _, stage = planned({"method": "distill", "teacher": {"arm": "sft-strong"}})
    hashes = []
    for again in ({}, {"again": True}):
        stage.params.update(again)
        found, _ = trained(place, stage, start=base, prompts=given, teacher=base)
        assert found.manifest.metrics["steps"] == 3
        hashes.append({name: ref.sha256 for name, ref in found.manifest.files.items()})
    assert hashes[0] == hashes[1]
