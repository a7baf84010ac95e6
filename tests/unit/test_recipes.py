"""Methods, rounds and controls in the plan: what they share, and what their keys hold."""

from __future__ import annotations

from typing import Any

import pytest

from shared.controls import CONTROLS
from shared.plan.beside import teachers_of
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from shared.spec.parse import contrasts, parse_spec, start_arms
from tests.unit.specs import resolved, spec_with

RL = "arms__rlaif-weak__rl"
PRESET: dict[str, Any] = {
    "arms": None,
    "preset": "teacher_or_critic",
    "weak": "weak",
    "strong": "strong",
    "critic": "critic",
}


def with_control(kind: str, of: str = "rlaif-weak", **settings: Any) -> dict[str, Any]:
    """The small spec and one control of it."""
    return spec_with(arms__other={"control": {"kind": kind, "of": of, **settings}})


def trained(made: Plan, arm: str, seed: int = 0) -> list[Stage]:
    """An arm's training stages, in their order."""
    report = made.stages[made.report]
    rows = [row for row in report.params["training"] if (row["arm"], row["seed"]) == (arm, seed)]
    return [made.stages[report.inputs[row["input"]]] for row in rows]


def new(spec: dict[str, Any], kinds: tuple[str, ...] = ("sft", "rl", "teach", "label", "sample")) -> list[str]:
    """The kinds of the stages that make models and are not in the small spec's plan; those that judge are left out."""
    before = plan(resolved())
    made = plan(resolved(spec))
    return sorted(
        stage.kind
        for key, stage in made.stages.items()
        if key not in before.stages and stage.kind in kinds and stage.params.get("split") != "eval"
    )


def test_a_dpo_s_keys_are_what_they_were_before_there_were_other_methods() -> None:
    start, rl = trained(plan(resolved()), "rlaif-weak")
    assert set(rl.params) == {
        "method", "seed", "beta", "chat_template", "precision", "max_length", "lora", "args",
    }  # fmt: skip
    assert rl.params["beta"] == 0.1 and rl.params["args"] == {}
    assert rl.inputs["start"] == start.key
    made, written = plan(resolved()), plan(resolved(spec_with(**{f"{RL}__beta": 0.1})))
    assert set(made.stages) - {made.report} == set(written.stages) - {written.report}


@pytest.mark.parametrize(("method", "beta"), [("kto", 0.1), ("orpo", 0.1), ("cpo", 0.1), ("simpo", 2.0)])
def test_another_method_trains_on_the_same_labels(method: str, beta: float) -> None:
    spec = spec_with(arms__other={"sft": {"teacher": "weak", "fraction": 0.1},
                                        "rl": {"critic": "critic", "method": method}})  # fmt: skip
    assert new(spec) == ["rl"]
    made = plan(resolved(spec))
    dpo, other = trained(made, "rlaif-weak")[-1], trained(made, "other")[-1]
    assert dpo.inputs == other.inputs
    assert (other.params["method"], other.params["beta"]) == (method, beta)


def test_a_loss_by_either_name_is_one_key() -> None:
    by_field, by_argument, several = (
        trained(plan(resolved(spec_with(**change))), "rlaif-weak")[-1]
        for change in (
            {f"{RL}__loss": "ipo"},
            {f"{RL}__args": {"loss_type": ["ipo"]}},
            {f"{RL}__loss": ["sigmoid", "sft"], f"{RL}__args": {"loss_weights": [1.0, 0.1]}},
        )
    )
    assert by_field.key == by_argument.key
    assert several.params["args"] == {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, 0.1]}
    kto = spec_with(**{f"{RL}__method": "kto", f"{RL}__loss": "apo_zero_unpaired"})
    assert trained(plan(resolved(kto)), "rlaif-weak")[-1].params["args"] == {"loss_type": "apo_zero_unpaired"}


def test_rounds_sample_label_and_train_again_from_the_new_policy() -> None:
    spec = spec_with(**{f"{RL}__rounds": 3})
    assert new(spec) == ["label", "label", "rl", "rl", "sample", "sample"], "the first round is the plain arm's"
    made = plan(resolved(spec))
    start, *rounds = trained(made, "rlaif-weak")
    for before, after in zip([start, *rounds], rounds, strict=False):
        samples = made.stages[made.stages[after.inputs["preferences"]].inputs["samples"]]
        assert after.inputs["start"] == samples.inputs["checkpoint"] == before.key
    (judged, *_) = [stage for stage in made.stages.values()
                    if stage.kind == "sample" and stage.inputs["checkpoint"] == rounds[-1].key]  # fmt: skip
    assert judged.params["split"] == "eval"


@pytest.mark.parametrize(
    ("control", "fresh"),
    [
        ({"kind": "sft_on_chosen"}, ["sft"]),
        ({"kind": "best_of_n", "n": 4}, ["label", "sample", "sft"]),
        ({"kind": "best_of_n", "n": 2}, ["label", "sft"]),
        ({"kind": "swap", "teacher": "strong"}, ["sft", "teach"]),
        ({"kind": "random_labels"}, ["rl"]),
        ({"kind": "length_matched"}, ["rl"]),
    ],
)
def test_a_control_shares_all_but_what_it_does_otherwise(control: dict[str, Any], fresh: list[str]) -> None:
    spec = with_control(**control)
    assert new(spec) == fresh
    made = plan(resolved(spec))
    (start, own), (other, rl) = trained(made, "other"), trained(made, "rlaif-weak")
    assert start.key == other.key and own.key != rl.key
    assert start_arms(parse_spec(spec))["other"] == "start-weak"
    assert contrasts(parse_spec(spec))[CONTROLS[control["kind"]].contrast] == ("rlaif-weak", "other")
    assert contrasts(parse_spec(spec))["gain-other"] == ("other", "start-weak")


def test_what_each_control_trains_on() -> None:
    made = plan(resolved(with_control("swap", teacher="strong")))
    (start, own) = trained(made, "other")
    taught = made.stages[own.inputs["demonstrations"]]
    assert (own.kind, own.inputs["base"]) == ("sft", start.key)
    assert (taught.params["start"], taught.params["stop"], taught.options["name"]) == (0.1, 1.0, "strong")
    made = plan(resolved(with_control("sft_on_chosen", args={"num_train_epochs": 2})))
    (_, own), (_, rl) = trained(made, "other"), trained(made, "rlaif-weak")
    assert own.inputs["preferences"] == rl.inputs["preferences"] and own.params["args"] == {"num_train_epochs": 2}
    made = plan(resolved(with_control("random_labels")))
    (_, own), (_, rl) = trained(made, "other"), trained(made, "rlaif-weak")
    assert own.inputs == rl.inputs and own.params == {**rl.params, "labels": "random"}
    made = plan(resolved(with_control("length_matched", within=0.2)))
    assert trained(made, "other")[-1].params == {**rl.params, "length_within": 0.2}
    made = plan(resolved(with_control("best_of_n", n=3)))
    label = made.stages[trained(made, "other")[-1].inputs["preferences"]]
    assert label.params["choose"] == "best_worst" and made.stages[label.inputs["samples"]].params["n"] == 3


def test_a_control_follows_its_arm_through_a_matrix() -> None:
    spec = with_control("random_labels")
    spec["models"]["kinder"] = {"provider": "simulated", "error_rate": 0.3}
    spec["matrix"] = {"critics": ["critic", "kinder"], "fractions": [0.1, 0.5]}
    made = plan(resolved(spec))
    random = [stage for stage in made.stages.values() if stage.kind == "rl" and "labels" in stage.params]
    assert len({stage.inputs["preferences"] for stage in random}) == 4
    plain = [stage for stage in made.stages.values() if stage.kind == "rl" and "labels" not in stage.params]
    assert {tuple(stage.inputs.items()) for stage in random} <= {tuple(stage.inputs.items()) for stage in plain}


def test_a_control_before_its_arm_takes_nothing_of_its_names() -> None:
    spec = spec_with()
    spec["arms"] = {"first": {"control": {"kind": "random_labels", "of": "rlaif-weak"}}, **spec["arms"]}
    assert start_arms(parse_spec(spec))["first"] == "start-weak"


def test_a_resolved_spec_has_controls_as_they_were_written_and_plans_the_same() -> None:
    spec = with_control("swap", teacher="strong")
    once = resolved(spec)
    assert once.spec["arms"]["other"] == {"control": {"kind": "swap", "of": "rlaif-weak", "teacher": "strong"}}
    assert set(plan(once).stages) == set(plan(resolved(once.spec)).stages)


def test_a_preset_has_all_controls_or_those_that_it_names() -> None:
    every = parse_spec(spec_with(**PRESET, controls=True))
    assert list(every.arms)[4:] == [f"{one.contrast}-arm" for one in CONTROLS.values()]
    assert contrasts(every)["swap"] == ("rlaif-weak", "swap-arm")
    assert contrasts(every)["random-labels"] == ("rlaif-weak", "random-labels-arm")
    few = parse_spec(spec_with(**PRESET, controls=["swap"]))
    assert list(few.arms)[4:] == ["swap-arm"]
    none = parse_spec(spec_with(**PRESET))
    assert len(none.arms) == 4 == len(parse_spec(spec_with(**PRESET, controls=False)).arms)


def test_contrasts_of_other_arms_and_of_a_second_control_have_names_of_their_own() -> None:
    spec = with_control("swap", of="rlaif-strong", teacher="weak")
    spec["arms"]["a"] = spec["arms"]["b"] = {"control": {"kind": "random_labels", "of": "rlaif-weak"}}
    found = contrasts(parse_spec(spec))
    assert found["swap-strong"] == ("rlaif-strong", "other") and "swap" not in found
    assert (found["random-labels"], found["random-labels-2"]) == (("rlaif-weak", "a"), ("rlaif-weak", "b"))


def test_the_report_is_told_what_a_control_holds_equal() -> None:
    made = plan(resolved(with_control("random_labels")))
    arms = made.stages[made.report].params["arms"]
    assert arms["other"]["control"]["of"] == "rlaif-weak" and "coin" in arms["other"]["control"]["differs"]
    assert "control" not in arms["rlaif-weak"] and arms["other"]["start"] == "start-weak"


def test_a_swap_s_teacher_is_judged_beside_the_arms_as_other_teachers_are() -> None:
    spec = with_control("swap", teacher="third")
    spec["models"]["third"] = {"provider": "simulated", "accuracy": 0.8}
    assert teachers_of(parse_spec(spec)) == ["weak", "strong", "third"]
