"""Best of n by a reward model: in training and at sampling, what is planned, and which sample is kept."""

from __future__ import annotations

import math
from typing import Any

import pytest

from services.analyst.match import used
from services.analyst.params import RecipeParams
from services.inference.best import places
from shared.estimate.history import work_of
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import contrasts, parse_spec
from tests.unit.analyst.test_match import facts
from tests.unit.specs import resolved, spec_with
from tests.unit.test_recipes import new, trained, with_control

MODEL = {"provider": "reward_model", "model": "model:rm", "pinned": {"uploaded": "0" * 64}}
MAKES = ("sft", "rl", "teach", "label", "sample", "reward_model", "reward", "best")


def best(**settings: Any) -> dict[str, Any]:
    return with_control("best_of_n", by="reward", **settings)


def by_checkpoint(**settings: Any) -> dict[str, Any]:
    """The arm's critic is a reward model itself."""
    arm = {"sft": {"teacher": "weak", "fraction": 0.1}, "rl": {"critic": "rm"}}
    control = {"control": {"kind": "best_of_n", "of": "mine", "by": "reward", **settings}}
    return spec_with(models__rm=MODEL, arms__mine=arm, arms__other=control)


def source(made: Plan, stage: Stage, name: str) -> Stage:
    return made.stages[stage.inputs[name]]


def test_a_reward_model_learns_the_arm_s_labels_and_picks_what_sft_is_trained_on() -> None:
    spec = best(n=4)
    assert new(spec, MAKES) == ["best", "reward", "reward_model", "sample", "sft"], "and no label"
    made = plan(resolved(spec))
    start, model, own = trained(made, "other")
    _, dpo = trained(made, "rlaif-weak")
    assert model.kind == "reward_model" and model.inputs == dpo.inputs
    assert own.inputs["base"] == start.key
    kept = source(made, own, "demonstrations")
    rewards, samples = source(made, kept, "rewards"), source(made, kept, "samples")
    assert kept.kind == "best" and rewards.inputs == {"checkpoint": model.key, "completions": samples.key}
    assert (samples.params["n"], samples.params["start"], samples.inputs["checkpoint"]) == (4, 0.1, start.key)
    counts = resolved(spec).counts
    assert work_of(samples, made, counts) == work_of(rewards, made, counts) == 4 * 90 == 4 * work_of(kept, made, counts)


def test_its_samples_are_those_that_a_critic_would_rank() -> None:
    spec = best(n=4)
    spec["arms"]["ranked"] = {"control": {"kind": "best_of_n", "of": "rlaif-weak", "n": 4}}
    made = plan(resolved(spec))
    by_critic = source(made, trained(made, "ranked")[-1], "preferences")
    by_reward = source(made, trained(made, "other")[-1], "demonstrations")
    assert by_critic.inputs["samples"] == by_reward.inputs["samples"]


def test_a_critic_that_is_a_reward_model_picks_itself() -> None:
    made = plan(resolved(by_checkpoint()))
    own = trained(made, "other")[-1]
    rewards = source(made, source(made, own, "demonstrations"), "rewards")
    assert rewards.params["model"] == {"uploaded": "0" * 64} and "checkpoint" not in rewards.inputs
    assert contrasts(parse_spec(by_checkpoint()))["best-of-n-mine"] == ("mine", "other")


def test_at_sampling_nothing_but_the_reward_model_is_trained_and_every_answer_is_the_best_of_n() -> None:
    spec = best(n=3, at="sampling")
    spec["evaluations"]["win-rate"]["temperature"] = [0.7, 0.0]
    assert new(spec, (*MAKES[:4], "reward_model")) == ["reward_model"]
    made = plan(resolved(spec))
    model, start = trained(made, "other")
    assert start.key == trained(made, "rlaif-weak")[0].key and model.kind == "reward_model"
    report = made.stages[made.report]
    judged = {row["evaluation"]: made.stages[report.inputs[row["input"]]]
              for row in report.params["scores"] if row["arm"] == "other"}  # fmt: skip
    kept = source(made, judged["win-rate@0.7"], "samples")
    assert kept.kind == "best" and source(made, kept, "samples").params["n"] == 3
    assert source(made, kept, "rewards").inputs["checkpoint"] == model.key
    cold = source(made, judged["win-rate@0.0"], "samples")
    assert (cold.kind, cold.params["n"]) == ("sample", 1), "without chance all samples are alike"


def test_its_cost_and_recipe_have_the_reward_model_and_the_n_samples() -> None:
    made = plan(resolved(best(n=3, at="sampling")))
    params = made.stages[made.report].params
    kinds = [kind for kind, key in params["stages"]["other"] if made.stages[key].params.get("n") == 3]
    assert kinds == ["sample"] and {"reward", "best", "reward_model"} <= {kind for kind, _ in params["stages"]["other"]}
    recipe = params["recipes"]["other"]
    assert recipe["samples"] == 3 and trained(made, "other")[0].key in recipe["stages"][0]
    assert recipe["prompts"] == 100 and "samples" not in params["recipes"]["rlaif-weak"]
    found = used(RecipeParams(prompts=10, samples=3, stages=[["sft"]]), {"sft": facts("sft")})
    assert found is not None and found.samples == 3
    assert "best of 3 samples" in params["arms"]["other"]["control"]["differs"]


def test_of_equal_rewards_the_first_sample_is_kept_and_what_is_no_number_is_the_least() -> None:
    assert places(["a", "a", "b", "b", "b"], [1.0, 1.0, -2.0, math.nan, -1.0]) == [0, 4]
    assert places(["a", "a"], [math.nan, -math.inf]) == [0]


@pytest.mark.parametrize("settings", [{"by": "reward"}, {"by": "reward", "at": "sampling"}])
def test_a_resolved_spec_plans_the_same_again(settings: dict[str, Any]) -> None:
    once = resolved(with_control("best_of_n", **settings))
    assert set(plan(once).stages) == set(plan(resolved(once.spec)).stages)


def test_second_turns_have_no_best_by_a_reward_model() -> None:
    spec = parse_spec(best(at="sampling"))
    arm = spec.arms["other"]
    assert arm.control is not None and arm.rl is not None
    critic = spec.models["critic"]
    (error,) = arm.control.clashes("arms.other.control", arm.rl, critic, ["pairwise", "mt_bench"])
    assert error.field == "arms.other.control.at" and "mt_bench" in error.fix
    assert not list(arm.control.clashes("arms.other.control", arm.rl, critic, ["pairwise", "arena"]))
