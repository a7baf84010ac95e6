"""Methods that are not trained on pairs: what a spec must say of them, and what they are planned with."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInput
from shared.estimate.asks import stage_rows
from shared.methods import PREFERENCES
from shared.plan.critics import critics_of
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.matrix import cells
from shared.spec.parse import contrasts, parse_spec
from tests.unit.specs import resolved, spec_with
from tests.unit.test_recipes import new, trained

SFT = {"teacher": "weak", "fraction": 0.1}
CHECK = {"provider": "verifiable", "check": "world"}


def with_rl(arm: str = "other", **rl: Any) -> dict[str, Any]:
    """The small spec with a check among its models, and one arm more."""
    return spec_with(models__check=CHECK, **{f"arms__{arm}": {"sft": SFT, "rl": rl}})


def last(made: Plan, arm: str = "other", seed: int = 0) -> Stage:
    return trained(made, arm, seed)[-1]


@pytest.mark.parametrize(("method", "beta"), [("grpo", 0.0), ("rloo", 0.05), ("online_dpo", 0.1)])
def test_a_check_rewards_what_the_policy_samples_of_the_rl_step_s_prompts(method: str, beta: float) -> None:
    spec = with_rl(method=method, critic="check", temperature=0.8)
    assert new(spec) == ["rl"], "no samples and no labels beforehand"
    made = plan(resolved(spec))
    start, rl = trained(made, "other")
    assert rl.inputs == {"start": start.key, "prompts": start_prompts(made)}
    assert rl.params["reward"] == {"provider": "verifiable", "check": "world"}
    assert (rl.params["beta"], rl.params["temperature"], rl.params["max_tokens"]) == (beta, 0.8, 16)
    assert (rl.params["split"], rl.params["start"], rl.params["stop"]) == ("train", 0.1, 1.0)
    assert stage_rows(rl, made, resolved(spec).counts) == 90
    assert made.stages[made.report].params["recipes"]["other"]["prompts"] == 100


def start_prompts(made: Plan) -> str:
    return next(key for key, stage in made.stages.items() if stage.kind == "prompts")


def test_a_trained_reward_model_shares_the_labels_of_a_dpo_arm() -> None:
    spec = with_rl(method="grpo", critic="critic", reward={"holdout": 0.2, "args": {"max_steps": 5}})
    assert new(spec, ("sft", "rl", "teach", "label", "sample", "reward_model")) == ["reward_model", "rl"]
    made = plan(resolved(spec))
    rl, dpo = last(made), last(made, "rlaif-weak")
    model = made.stages[rl.inputs["reward"]]
    assert model.inputs == dpo.inputs and "reward" not in rl.params
    assert (model.params["method"], model.params["holdout"]) == ("reward", 0.2)
    assert model.params["args"] == {"max_steps": 5} and stage_rows(model, made, resolved(spec).counts) == 90
    assert model.key in {key for keys in made.stages[made.report].params["recipes"]["other"]["stages"] for key in keys}


def test_defaults_of_a_reward_model_are_its_own() -> None:
    spec = with_rl(method="rloo", critic="critic", reward={})
    spec["defaults"] = {"rl": {"learning_rate": 1e-3}, "reward": {"learning_rate": 1e-4}}
    made = plan(resolved(spec))
    assert made.stages[last(made).inputs["reward"]].params["args"] == {"learning_rate": 1e-4}
    assert last(made).params["args"] == {"learning_rate": 1e-3}


def test_a_distillation_learns_from_another_arm_s_model_of_the_same_seed() -> None:
    spec = with_rl("distilled", method="distill", teacher={"arm": "sft-strong"})
    spec["seeds"] = [0, 1]
    made = plan(resolved(spec))
    for seed in (0, 1):
        rl, start, strong = (
            last(made, "distilled", seed), trained(made, "rlaif-weak", seed)[0], last(made, "sft-strong", seed)
        )  # fmt: skip
        assert rl.inputs == {"start": start.key, "prompts": start_prompts(made), "teacher": strong.key}
        assert rl.params["beta"] == 1.0 and "reward" not in rl.params
    found = contrasts(parse_spec(spec))
    assert found["distill"] == ("rlaif-weak", "distilled") and found["gain-distilled"] == ("distilled", "start-weak")


def test_a_distillation_may_learn_from_an_rl_arm_that_stands_after_it() -> None:
    spec = spec_with()
    spec["arms"] = {
        "distilled": {"sft": SFT, "rl": {"method": "distill", "teacher": {"arm": "rlaif-strong"}}}, **spec["arms"]
    }  # fmt: skip
    made = plan(resolved(spec))
    assert last(made, "distilled").inputs["teacher"] == last(made, "rlaif-strong").key
    order = list(made.stages)
    assert all(order.index(source) < order.index(key) for key in order for source in made.stages[key].inputs.values())


def test_a_distillation_learns_from_an_untrained_policy() -> None:
    spec = with_rl("distilled", method="distill", teacher={"policy": "large"})
    spec["policies"]["large"] = {"base": {"pretrain": {"width": 128}}}
    for arm in spec["arms"].values():
        arm["policy"] = "toy"
    made = plan(resolved(spec))
    teacher = made.stages[last(made, "distilled").inputs["teacher"]]
    assert teacher.kind == "pretrain" and teacher.params["settings"]["width"] == 128


def test_in_a_matrix_the_teacher_is_the_cell_s_own_arm() -> None:
    spec = with_rl("distilled", method="distill", teacher={"arm": "rlaif-strong"})
    spec["matrix"] = {"fractions": [0.1, 0.5]}
    made = plan(resolved(spec))
    rl = [stage for stage in made.stages.values() if stage.params.get("method") == "distill"]
    assert len({stage.inputs["teacher"] for stage in rl}) == 2 == len(rl)
    assert [stage.params["start"] for stage in rl] == [0.1, 0.5]


def test_critics_of_a_matrix_are_no_distillation_s() -> None:
    spec = with_rl("distilled", method="distill", teacher={"arm": "sft-strong"})
    spec["models"]["kinder"] = {"provider": "simulated", "error_rate": 0.3}
    spec["matrix"] = {"critics": ["critic", "kinder"]}
    assert all(cell.arms["distilled"].rl.critic is None for cell in cells(parse_spec(spec)).values())  # type: ignore[union-attr]
    assert set(critics_of(parse_spec(spec))) == {"critic", "kinder"}


def test_a_resolved_spec_plans_the_same_again() -> None:
    spec = with_rl(method="grpo", critic="critic", reward={})
    spec["arms"]["distilled"] = {"sft": SFT, "rl": {"method": "distill", "teacher": {"arm": "other"}}}
    once = resolved(spec)
    assert set(plan(once).stages) == set(plan(resolved(once.spec)).stages)


def test_a_beta_of_nought_is_forward_kl_for_a_distillation() -> None:
    spec = with_rl("distilled", method="distill", teacher={"arm": "sft-strong"}, beta=0)
    assert last(plan(resolved(spec)), "distilled").params["beta"] == 0.0


@pytest.mark.parametrize("kind", ["sft_on_chosen", "random_labels", "length_matched"])
def test_a_control_of_pairs_is_refused_where_there_are_none(kind: str) -> None:
    spec = with_rl(method="grpo", critic="check")
    spec["arms"]["control"] = {"control": {"kind": kind, "of": "other"}}
    with pytest.raises(BadInput, match="has no labelled pairs"):
        parse_spec(spec)
    spec["arms"]["control"] = {"control": {"kind": "swap", "of": "other", "teacher": "strong"}}
    assert last(plan(resolved(spec)), "control").kind == "sft"


def test_random_labels_of_a_reward_model_s_arm_are_what_that_learns() -> None:
    spec = with_rl(method="grpo", critic="critic", reward={})
    spec["arms"]["control"] = {"control": {"kind": "random_labels", "of": "other"}}
    made = plan(resolved(spec))
    own, other = (made.stages[last(made, arm).inputs["reward"]] for arm in ("control", "other"))
    assert own.params == {**other.params, "labels": "random"} and own.inputs == other.inputs
    assert "labels" not in last(made, "control").params


def test_every_method_has_a_beta_that_it_takes() -> None:
    for method in PREFERENCES.values():
        assert not list(method.beta_errors("beta", method.beta)), method.name
