"""How policies are trained, in the plan: what a stage's key holds of it, and that older specs keep their keys."""

from __future__ import annotations

from typing import Any

import pytest

from shared.plan.experiment import plan
from shared.plan.model import Stage
from tests.unit.specs import resolved, spec_with

OLD = {"method", "seed", "beta", "chat_template", "precision", "max_length", "lora", "args"}


def trainings(**changes: Any) -> list[Stage]:
    made = plan(resolved(spec_with(**changes)))
    return [stage for stage in made.stages.values() if stage.kind in {"sft", "rl"}]


def test_what_a_spec_does_not_say_is_in_no_key() -> None:
    for stage in trainings(policies__toy__lora={"r": 4}):
        assert set(stage.params) <= OLD
        assert set(stage.params["lora"]) == {"r", "alpha", "dropout", "target_modules"}
        assert stage.options == {}


@pytest.mark.parametrize(
    ("change", "param", "value", "kinds"),
    [
        ({"arms__rlaif-weak__rl__max_loss": 9}, "max_loss", 9.0, {"rl"}),
        ({"arms__rlaif-weak__sft__max_loss": 9}, "max_loss", 9.0, {"sft"}),
        ({"policies__toy__attention": "eager"}, "attention", "eager", {"sft", "rl"}),
        ({"policies__toy__lora": {"quantize": "nf4"}}, "lora", "nf4", {"sft", "rl"}),
    ],
)
def test_what_it_says_is(change: dict[str, Any], param: str, value: Any, kinds: set[str]) -> None:
    said = [stage for stage in trainings(**change) if stage.params.get(param)]
    assert {stage.kind for stage in said} == kinds
    for stage in said:
        found = stage.params[param]
        assert (found["quantize"] if param == "lora" else found) == value


def test_who_is_told_changes_no_key() -> None:
    before, after = trainings(), trainings(report_to=["tensorboard"])
    assert [stage.key for stage in before] == [stage.key for stage in after]
    assert all(stage.options == {"report_to": ["tensorboard"]} for stage in after)


def test_sft_that_goes_on_from_a_start_keeps_to_the_bound_of_its_arm() -> None:
    control = {"control": {"kind": "sft_on_chosen", "of": "rlaif-weak"}}
    stages = trainings(arms__other=control, **{"arms__rlaif-weak__sft__max_loss": 9})
    (tuned,) = [
        stage for stage in stages if stage.kind == "sft" and "base" in stage.inputs and "preferences" in stage.inputs
    ]
    assert tuned.params["max_loss"] == 9.0
