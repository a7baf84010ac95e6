"""Who is judged beside the arms: untrained policies, teachers and null completions, in the plan."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInputs
from shared.estimate import preview
from shared.nulls import NULLS, PROMPTS
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved
from tests.unit.specs import resolved, spec_with

ALL = {"also_judge": ["base", "teachers"], "null_completions": True}
REFERENCE = {"models__reference": {"provider": "simulated", "accuracy": 0.6, "seed": 1}}
APART = {**ALL, **REFERENCE, "evaluations__win-rate__reference": "reference"}
"""Everybody is judged, and against a reference that is no teacher."""


def planned(**changes: Any) -> Plan:
    return plan(resolved(spec_with(**{**APART, **changes})))


def params(made: Plan) -> dict[str, Any]:
    return made.stages[made.report].params


def scores(made: Plan, arm: str) -> dict[tuple[str, int], Stage]:
    inputs = made.stages[made.report].inputs
    return {
        (row["evaluation"], row["seed"]): made.stages[inputs[row["input"]]]
        for row in params(made)["scores"]
        if row["arm"] == arm
    }


def test_by_default_the_base_the_teachers_and_null_completions_are_judged() -> None:
    made = plan(resolved(spec_with(also_judge=None, null_completions=None, **REFERENCE)))
    assert {"base", "teacher:strong"} <= set(params(made)["arms"])
    assert params(made)["null_completions"] == [f"null:{name}" for name in NULLS]


def test_who_is_judged_beside_the_arms_is_named_by_role_and_in_no_contrast() -> None:
    arms = params(planned())["arms"]
    assert {name: (arm["role"], arm["of"]) for name, arm in arms.items() if "of" in arm} == {
        "base": ("base", "toy"),
        "teacher:weak": ("teacher", "weak"),
        "teacher:strong": ("teacher", "strong"),
    }
    named = {arm for pair in params(planned())["contrasts"].values() for arm in str(pair).split("'")}
    assert not named & {"base", "teacher:weak", "teacher:strong"}
    assert "base" not in params(planned())["recipes"]


def test_the_arms_own_stages_are_the_same_whoever_is_judged_beside_them() -> None:
    alone = plan(resolved(spec_with(**REFERENCE, **{"evaluations__win-rate__reference": "reference"})))
    assert set(alone.stages) - {alone.report} < set(planned().stages)


def test_a_teacher_is_judged_once_for_all_seeds_and_temperatures() -> None:
    found = scores(planned(seeds=[0, 1, 2]), "teacher:strong")
    assert len(found) == 3 * 2 and len({stage.key for stage in found.values()}) == 1


def test_the_base_is_sampled_anew_for_each_seed_but_not_where_nothing_is_drawn() -> None:
    found = scores(planned(seeds=[0, 1, 2]), "base")
    keys = {name: {stage.key for (one, _), stage in found.items() if one == name} for name, _ in found}
    assert {name: len(of) for name, of in keys.items()} == {"win-rate@0.7": 3, "win-rate@0.0": 1}


def test_a_base_made_on_the_spot_is_the_checkpoint_that_arms_are_trained_from() -> None:
    made = planned()
    judged = scores(made, "base")["win-rate@0.7", 0]
    sample = made.stages[judged.inputs["samples"]]
    assert made.stages[sample.inputs["checkpoint"]].kind == "pretrain" and "model" not in sample.params


def test_a_base_that_is_there_already_is_sampled_as_it_is() -> None:
    spec = parse_spec(spec_with(**APART, policies__toy={"model": "model:mine", "max_tokens": 16}))
    data = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    counts = {"train": 100, "dev": 10, "eval": 40, "near_duplicates": 0}
    made = plan(Resolved(spec=data, counts=counts, policies={"toy": {"uploaded": "0" * 64}}))
    sample = made.stages[scores(made, "base")["win-rate@0.7", 0].inputs["samples"]]
    assert sample.params["model"] == {"uploaded": "0" * 64} and "checkpoint" not in sample.inputs


def test_several_policies_have_a_base_each() -> None:
    other = {"policies__other": {"base": {"pretrain": {"seed": 3}}, "max_tokens": 16}}
    of_arm = {f"arms__{arm}__policy": "toy" for arm in ("sft-weak", "sft-strong", "rlaif-weak")}
    made = planned(**other, **of_arm, **{"arms__rlaif-strong__policy": "other"})
    assert {"base:toy", "base:other"} <= set(params(made)["arms"]) and "base" not in params(made)["arms"]


def test_a_teacher_that_is_the_reference_is_not_judged_against_itself() -> None:
    made = plan(resolved(spec_with(**ALL)))
    assert "teacher:weak" not in params(made)["arms"] and "teacher:strong" in params(made)["arms"]


def test_completions_without_a_policy_have_no_likelihood() -> None:
    made = planned(evaluations__nll={"protocol": "nll", "completions": "strong"})
    assert ("nll", 0) in scores(made, "base")
    assert not any(("nll", 0) in scores(made, arm) for arm in ("teacher:strong", "null:sorry"))


def test_null_completions_are_judged_on_a_few_prompts_and_are_no_arms() -> None:
    made = planned(prompts__eval=120)
    judged = scores(made, "null:praise")["win-rate@0.7", 0]
    stage = made.stages[judged.inputs["samples"]]
    assert stage.kind == "teach" and stage.params["model"] == {"provider": "null", "text": NULLS["praise"]}
    assert round(120 * stage.params["stop"]) == PROMPTS == params(made)["null_prompts"]
    assert not any(name.startswith("null:") for name in params(made)["arms"])


def test_what_a_judge_says_of_null_completions_is_not_on_its_card() -> None:
    made = planned()
    nulls = {stage.key for name in NULLS for stage in scores(made, f"null:{name}").values()}
    assert not nulls & set(params(made)["critics"]["critic"]["stages"]["judge"])


def test_the_dry_run_counts_what_they_ask() -> None:
    counts = {"train": 100, "dev": 10, "eval": 40}
    with_all, alone = (preview("x", made, counts, ())["requests"] for made in (
        planned(), planned(also_judge=[], null_completions=False)))  # fmt: skip
    # Of 40 prompts in both orders: the base at two temperatures, two teachers and four nulls; and two teachers write.
    assert with_all - alone == 40 * 2 * (2 + 2 + len(NULLS)) + 40 * 2


def test_teachers_whose_recorded_completions_leave_out_eval_prompts_are_not_judged() -> None:
    found = resolved(spec_with(**APART)).model_copy(update={"unjudged": ["strong"]})
    made = plan(found)
    assert "teacher:strong" not in params(made)["arms"] and params(made)["unjudged"] == ["teacher:strong"]


def test_a_contrast_may_name_them() -> None:
    made = planned(contrasts={"headline": ["sft-strong", "base"], "student": ["sft-strong", "teacher:strong"]})
    assert params(made)["contrasts"] == {
        "headline": ["sft-strong", "base"], "student": ["sft-strong", "teacher:strong"],
    }  # fmt: skip


@pytest.mark.parametrize("name", ["base", "teacher"])
def test_no_arm_may_have_their_names(name: str) -> None:
    with pytest.raises(BadInputs, match=f"arms.{name}") as caught:
        parse_spec(spec_with(**{f"arms__{name}": {"sft": {"teacher": "weak"}}}))
    assert "Give it another name" in str(caught.value)
