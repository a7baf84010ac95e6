"""A person's mistakes in a spec: each names its field and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInput
from shared.specparse import contrasts, parse_spec, start_arms
from tests.unit.specs import spec_with


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"evals": 3}, "evals", "eval"),
        ({"arms__sft-weak__sft__techer": "weak"}, "arms.sft-weak.sft.techer", "Did you mean teacher"),
        ({"arms__sft-weak__sft__teacher": "weka"}, "arms.sft-weak.sft.teacher", "Did you mean weak"),
        ({"arms__sft-weak__sft__teacher": None}, "arms.sft-weak.sft.teacher", "is missing"),
        ({"arms__sft-weak": {}}, "arms.sft-weak.sft", "is missing"),
        ({"arms__rlaif-weak__sft__fraction": 1.5}, "arms.rlaif-weak.sft.fraction", "less than or equal to 1"),
        ({"arms__rlaif-weak__sft__fraction": 0}, "arms.rlaif-weak.sft.fraction", "greater than 0"),
        ({"arms__rlaif-weak__sft__fraction": 1.0}, "arms.rlaif-weak.sft.fraction", "no prompts for the RL step"),
        ({"arms__rlaif-weak__rl__critic": "nobody"}, "arms.rlaif-weak.rl.critic", "not under models"),
        ({"arms__rlaif-weak__rl__method": "dop"}, "arms.rlaif-weak.rl.method", "dpo"),
        ({"defaults": {"sft": {"learning_rat": 1}}}, "defaults.sft.learning_rat", "Did you mean learning_rate"),
        ({"defaults": {"sft": {"output_dir": "x"}}}, "defaults.sft.output_dir", "set by Touchstone"),
        ({"arms__rlaif-weak__rl__args": {"loss_typ": 1}}, "arms.rlaif-weak.rl.args.loss_typ", "Did you mean loss_type"),
        ({"models__weak__provider": "opnai"}, "models.weak.provider", "openai"),
        ({"models__weak__accuracy": 1.5}, "models.weak.accuracy", "less than or equal to 1"),
        ({"primary": {"evaluation": "win-rate@0.9"}}, "primary.evaluation", "win-rate@0.7"),
        ({"primary": {"contrast": "headlin", "evaluation": "win-rate@0.7"}}, "primary.contrast", "headline"),
        ({"evaluations__win-rate__judge": "nobody"}, "evaluations.win-rate.judge", "not under models"),
        ({"evaluations__win-rate__protocol": "pairs"}, "evaluations.win-rate.protocol", "pairwise"),
        ({"contrasts": {"mine": ["sft-weak", "sft-string"]}}, "contrasts.mine", "Did you mean sft-strong"),
        ({"seeds": [1, 1]}, "seeds", "twice"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"policies__toy__model": "org/name"}, "policies.toy", "exactly one of model and base"),
        ({"prompts__eval": 1}, "prompts.eval", "greater than or equal to 2"),
        ({"name": "../../etc"}, "name", "pattern"),
        ({"matrix": {}}, "matrix", "not supported"),
    ],
)
def test_a_mistake_names_its_field_and_the_fix(change: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(**change))
    found = {error.field: str(error) for error in caught.value.errors}
    assert field in found
    assert says in found[field]


def test_three_mistakes_are_named_at_once() -> None:
    wrong = spec_with(**{"arms__sft-weak__sft__teacher": "x", "arms__sft-strong__sft__teacher": "y"})
    with pytest.raises(BadInput) as caught:
        parse_spec(wrong)
    assert {error.field for error in caught.value.errors} == {
        "arms.sft-weak.sft.teacher",
        "arms.sft-strong.sft.teacher",
    }


def test_a_literal_key_is_refused_and_not_repeated() -> None:
    secret = "sk-verysecret"
    model = {"provider": "openai", "model": "gpt-4", "api_key": secret}
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(models__weak=model))
    assert caught.value.errors[0].field == "models.weak.api_key"
    assert secret not in str(caught.value)


def test_a_preset_expands_to_the_paper_s_arms() -> None:
    spec = spec_with(arms=None, preset="teacher_or_critic", weak="weak", strong="strong", critic="critic", fraction=0.2)
    parsed = parse_spec(spec)
    assert list(parsed.arms) == ["sft-weak", "sft-strong", "rlaif-weak", "rlaif-strong"]
    assert parsed.arms["rlaif-weak"].sft.fraction == 0.2
    assert start_arms(parsed) == {"rlaif-weak": "start-weak", "rlaif-strong": "start-strong"}
    assert contrasts(parsed)["headline"] == ("rlaif-weak", "sft-strong")


def test_only_contrasts_of_arms_that_are_there() -> None:
    spec = spec_with(**{"arms__rlaif-strong": None, "arms__sft-weak": None})
    assert set(contrasts(parse_spec(spec))) == {"headline", "gain-weak"}
