"""Temperatures chosen on dev, in the plan: which stages they need, and what may name them."""

from __future__ import annotations

from typing import Any

from shared.plan.experiment import plan
from shared.plan.model import Plan
from tests.unit.specs import resolved, spec_with

BEST = {"evaluations__win-rate__best_on_dev": True}


def params(made: Plan) -> dict[str, Any]:
    return made.stages[made.report].params


def test_every_arm_is_judged_on_dev_at_each_temperature_too() -> None:
    made = plan(resolved(spec_with(**BEST)))
    rows = params(made)["dev_scores"]
    assert {(row["arm"], row["evaluation"]) for row in rows} == {
        (arm, f"win-rate@{temperature}") for arm in params(made)["arms"] for temperature in (0.7, 0.0)
    }
    for row in rows:
        judge = made.stages[made.stages[made.report].inputs[row["input"]]]
        samples, reference = (made.stages[judge.inputs[name]] for name in ("samples", "reference"))
        assert samples.params["split"] == reference.params["split"] == "dev"


def test_the_choice_adds_stages_and_changes_none() -> None:
    plain, best = plan(resolved()), plan(resolved(spec_with(**BEST)))
    assert set(plain.stages) - {plain.report} < set(best.stages)


def test_a_critic_that_needs_reference_answers_has_them_on_dev() -> None:
    towards = {"models__like": {"provider": "similarity", "towards": "strong"}, "evaluations__win-rate__judge": "like"}
    made = plan(resolved(spec_with(**BEST, **towards)))
    row = params(made)["dev_scores"][0]
    judge = made.stages[made.stages[made.report].inputs[row["input"]]]
    assert made.stages[judge.inputs["towards"]].params["split"] == "dev"


def test_the_choice_has_a_name_that_may_be_primary() -> None:
    made = plan(resolved(spec_with(**BEST, primary={"evaluation": "win-rate@best_on_dev"})))
    found = params(made)["evaluations"]["win-rate@best_on_dev"]
    assert found["best_of"] == ["win-rate@0.7", "win-rate@0.0"] and found["temperature"] is None


def test_completions_that_no_policy_wrote_have_no_temperature_to_choose() -> None:
    everybody = {"also_judge": ["base", "teachers"], "null_completions": True}
    made = plan(resolved(spec_with(**BEST, **everybody)))
    assert {row["arm"] for row in params(made)["dev_scores"]} - {"base"} == {
        arm for arm in params(made)["arms"] if "of" not in params(made)["arms"][arm]
    }
