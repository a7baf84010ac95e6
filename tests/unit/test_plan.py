"""The plan: keys hold what changes a result and nothing else; stages are shared wherever they are the same."""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage, stage_key
from tests.unit.specs import resolved, spec_with


def sampling(**changes: Any) -> list[Stage]:
    return of_kind(plan(resolved(spec_with(**changes))), "sample")


def test_an_engines_arguments_are_part_of_what_it_samples_and_absent_where_none_are_given() -> None:
    plain = sampling(policies__toy__engine="vllm")
    assert all("engine_args" not in stage.params for stage in plain)
    told = sampling(policies__toy__engine="vllm", policies__toy__engine_args={"quantization": "fp8"})
    assert all(stage.params["engine_args"] == {"quantization": "fp8"} for stage in told)
    assert not {stage.key for stage in plain} & {stage.key for stage in told}


def kinds(made: Plan) -> Counter[str]:
    return Counter(stage.kind for stage in made.stages.values())


def of_kind(made: Plan, kind: str) -> list[Stage]:
    return [stage for stage in made.stages.values() if stage.kind == kind]


def test_four_arms_and_their_two_starts() -> None:
    made = plan(resolved())
    assert kinds(made) == {
        "prompts": 1,
        "pretrain": 1,
        "teach": 5,  # weak and strong, 10% and 100% of train; the reference on eval
        "sft": 4,
        "sample": 2 + 6 * 2,
        "label": 2,
        "rl": 2,
        "judge": 6 * 2,
        "report": 1,
    }
    assert set(made.stages[made.report].arms) == {
        "sft-weak", "sft-strong", "rlaif-weak", "rlaif-strong", "start-weak", "start-strong",
    }  # fmt: skip


def test_a_policy_against_its_own_teacher_or_another_model() -> None:
    rl = {"critic": "critic", "pairs": "policy_vs_teacher"}
    made = plan(
        resolved(spec_with(**{"arms__rlaif-weak__rl": rl, "arms__rlaif-strong__rl": rl | {"opponent": "weak"}}))
    )
    labels = of_kind(made, "label")
    assert len({stage.inputs["opponent"] for stage in labels}) == 1
    opponent = made.stages[labels[0].inputs["opponent"]]
    assert (opponent.params["split"], opponent.params["start"]) == ("train", 0.1), "only the prompts of the RL step"
    assert {made.stages[stage.inputs["samples"]].params["n"] for stage in labels} == {1}


def test_how_pairs_are_chosen_is_in_the_labels_key() -> None:
    def label_keys(**rl: Any) -> set[str]:
        return {one.key for one in of_kind(plan(resolved(spec_with(**{"arms__rlaif-weak__rl": rl}))), "label")}

    plain = label_keys(critic="critic")
    assert plain == label_keys(critic="critic", choose="first_two", samples=2)
    assert len(plain & label_keys(critic="critic", choose="all")) == 1


def test_inputs_come_before_what_needs_them() -> None:
    seen: set[str] = set()
    for key, stage in plan(resolved()).stages.items():
        assert set(stage.inputs.values()) <= seen
        seen.add(key)


def test_the_same_spec_gives_the_same_keys() -> None:
    assert list(plan(resolved()).stages) == list(plan(resolved()).stages)


@pytest.mark.parametrize(
    "change",
    [
        {"models__weak__limits": {"requests_per_minute": 5}},
        {"models__weak__price": {"input": 1.0, "output": 2.0}},
        {"budget_usd": 5.0},
        {"name": "another"},
        {"worth": {"points": 3}},
    ],
)
def test_what_does_not_change_a_result_is_in_no_key_but_the_report_s(change: dict[str, Any]) -> None:
    if "models__weak__limits" in change or "models__weak__price" in change:
        base = {"models__weak": {"provider": "openai", "model": "m", "base_url": "http://127.0.0.1:1/v1"}}
    else:
        base = {}
    plain, changed = plan(resolved(spec_with(**base))), plan(resolved(spec_with(**base, **change)))
    assert set(plain.stages) - {plain.report} == set(changed.stages) - {changed.report}
    assert plain.report != changed.report


def test_an_alias_is_in_no_key() -> None:
    renamed = spec_with(models__weak=None, models__poor={"provider": "simulated", "accuracy": 0.5})
    for arm in ("sft-weak", "rlaif-weak"):
        renamed["arms"][arm]["sft"]["teacher"] = "poor"
    renamed["evaluations"]["win-rate"]["reference"] = "poor"
    one, other = plan(resolved()), plan(resolved(renamed))
    assert set(one.stages) - {one.report} == set(other.stages) - {other.report}


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"models__strong__accuracy": 0.8}, {"prompts", "pretrain"}),
        ({"seeds": [7]}, {"prompts", "pretrain", "teach"}),
        ({"models__critic__error_rate": 0.2}, {"prompts", "pretrain", "teach", "sft"}),
        ({"defaults": {"rl": {"learning_rate": 1e-5}}}, {"prompts", "pretrain", "teach", "sft", "label"}),
    ],
)
def test_a_change_leaves_what_comes_before_it(change: dict[str, Any], kept: set[str]) -> None:
    one, other = plan(resolved()), plan(resolved(spec_with(**change)))
    shared = {one.stages[key].kind for key in set(one.stages) & set(other.stages)}
    assert kept <= shared
    assert set(other.stages) != set(one.stages)


def test_seeds_share_all_but_training_and_what_follows() -> None:
    one, three = plan(resolved()), plan(resolved(spec_with(seeds=[0, 1, 2])))
    assert kinds(three)["teach"] == kinds(one)["teach"]
    assert kinds(three)["pretrain"] == 1
    assert kinds(three)["sft"] == 3 * kinds(one)["sft"]


def test_rl_arms_with_the_same_start_share_it() -> None:
    spec = spec_with()
    spec["arms"]["rlaif-weak-hot"] = {
        "sft": {"teacher": "weak", "fraction": 0.1},
        "rl": {"critic": "critic", "temperature": 1.5},
    }
    made = plan(resolved(spec))
    assert kinds(made)["sft"] == 4
    assert "start-weak" in made.stages[made.report].arms
    assert "start-weak-hot" not in made.stages[made.report].arms


def test_rl_uses_the_prompts_that_its_sft_did_not() -> None:
    made = plan(resolved())
    ranges = {(stage.params["start"], stage.params["stop"]) for stage in of_kind(made, "sample")
              if stage.params["split"] == "train"}  # fmt: skip
    assert ranges == {(0.1, 1.0)}


def test_the_base_never_depends_on_a_seed_and_knows_the_prompts_to_leave_out() -> None:
    made = plan(resolved())
    (base,) = of_kind(made, "pretrain")
    assert made.stages[base.inputs["prompts"]].kind == "prompts"


def test_ten_thousand_stages_are_planned_in_about_a_second() -> None:
    """The figure is measured in benchmarks/; this only catches a quadratic plan, by its CPU time."""
    started = time.process_time()
    made = plan(resolved(spec_with(seeds=list(range(200)))))
    assert len(made.stages) > 6000
    assert time.process_time() - started < 6


def test_whole_floats_and_integers_are_the_same_key() -> None:
    assert stage_key("sample", {"temperature": 1.0}, {}) == stage_key("sample", {"temperature": 1}, {})
