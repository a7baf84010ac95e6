"""A person's mistakes in a spec: each names its field and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from shared.errors import BadInput
from shared.spec.parse import contrasts, parse_spec, start_arms
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
        ({"arms__rlaif-weak__rl__samples": 1}, "arms.rlaif-weak.rl.samples", "a pair needs two"),
        ({"arms__rlaif-weak__rl__opponent": "weak"}, "arms.rlaif-weak.rl.opponent", "policy_vs_teacher"),
        (
            {"arms__rlaif-weak__rl": {"critic": "critic", "pairs": "policy_vs_teacher", "choose": "all"}},
            "arms.rlaif-weak.rl.choose",
            "means nothing",
        ),
        (
            {"arms__rlaif-weak__rl": {"critic": "critic", "pairs": "policy_vs_teacher", "opponent": "critic"}},
            "arms.rlaif-weak.rl.opponent",
            "cannot write completions",
        ),
        ({"models__critic__ask": {"kind": "score", "order": "both"}}, "models.critic.ask", "one answer at a time"),
        ({"models__critic__ask": {"kind": "scores"}}, "models.critic.ask.kind", "Use one of: pairwise, score"),
        (
            {"models__critic__ask": {"kind": "rubric", "criteria": [{"name": "a", "text": "t", "weight": 0}]}},
            "models.critic.ask.criteria",
            "all weights are zero",
        ),
        ({"models__critic__ask": {"kind": "pairwise", "order": "first"}}, "models.critic.ask.order", "both"),
        ({"models__weak__ask": {"kind": "pairwise"}}, "models.weak", "a teacher"),
        (
            {"models__c": {"provider": "anthropic", "model": "c", "ask": {"kind": "pairwise", "verdict": "logprobs"}}},
            "models.c.ask.verdict",
            "does not give",
        ),
        *(
            ({"models__c": {**fields, "mode": "batch"}}, "models.c.mode", "is for `provider: openai` alone")
            for fields in (
                {"provider": "anthropic", "model": "c"},
                {"provider": "tgi", "base_url": "http://here:80"},
                {"provider": "simulated", "accuracy": 0.5},
                {"provider": "recorded", "completions": "dataset:x"},
            )
        ),
        ({"models__x": {"provider": "verifiable", "check": "exact"}}, "models.x", "answers: dataset:NAME"),
        ({"arms__rlaif-weak__rl__critic": "nobody"}, "arms.rlaif-weak.rl.critic", "not under models"),
        ({"arms__rlaif-weak__rl__method": "dop"}, "arms.rlaif-weak.rl.method", "dpo"),
        ({"defaults": {"sft": {"learning_rat": 1}}}, "defaults.sft.learning_rat", "Did you mean learning_rate"),
        ({"defaults": {"sft": {"learning_rate": "fast"}}}, "defaults.sft.learning_rate", "type float"),
        ({"defaults": {"sft": {"max_steps": True}}}, "defaults.sft.max_steps", "type int"),
        ({"defaults": {"sft": {"output_dir": "x"}}}, "defaults.sft.output_dir", "set by Touchstone"),
        ({"arms__rlaif-weak__rl__args": {"loss_typ": 1}}, "arms.rlaif-weak.rl.args.loss_typ", "Did you mean loss_type"),
        ({"models__weak__provider": "opnai"}, "models.weak.provider", "openai"),
        ({"models__weak__accuracy": 1.5}, "models.weak.accuracy", "less than or equal to 1"),
        (
            {"models__weak__limits": {"requests_per_minute": 0}},
            "models.weak.limits.requests_per_minute",
            "greater than 0",
        ),
        (
            {"models__weak__limits": {"tokens_per_minute": -1}},
            "models.weak.limits.tokens_per_minute",
            "greater than 0",
        ),
        ({"models__weak__limits": {"concurrency": 0}}, "models.weak.limits.concurrency", "greater than 0"),
        (
            {"models__weak__limits": {"requests_per_minute": float("inf")}},
            "models.weak.limits.requests_per_minute",
            "finite number",
        ),
        ({"primary": {"evaluation": "win-rate@0.9"}}, "primary.evaluation", "win-rate@0.7"),
        ({"primary": {"contrast": "headlin", "evaluation": "win-rate@0.7"}}, "primary.contrast", "headline"),
        ({"evaluations__win-rate__judge": "nobody"}, "evaluations.win-rate.judge", "not under models"),
        ({"evaluations__win-rate__protocol": "pairs"}, "evaluations.win-rate.protocol", "pairwise"),
        ({"contrasts": {"mine": ["sft-weak", "sft-string"]}}, "contrasts.mine", "Did you mean sft-strong"),
        ({"seeds": [1, 1]}, "seeds", "twice"),
        ({"seeds": []}, "seeds", "at least 1"),
        ({"policies__toy__model": "org/name"}, "policies.toy", "exactly one of model, base and declared"),
        ({"prompts__eval": 1}, "prompts.eval", "greater than or equal to 2"),
        ({"name": "../../etc"}, "name", "pattern"),
        ({"matrix": {}}, "matrix", "one cell"),
        ({"models": []}, "models", "is no mapping. Write names"),
        ({"seeds": "0"}, "seeds", "is no list. Write a list"),
        ({"name": 7}, "name", "is no text. Write a text"),
        ({"seeds": [-1]}, "seeds.0", "Give 0 or more"),
        ({"seeds": [2**32]}, "seeds.0", "Give less than"),
        ({"seeds": list(range(5000))}, "seeds", "10,000 is the most"),
        ({"prompts__source": "alpaca-eval"}, "prompts.source", "Write dataset:NAME"),
        ({"prompts__source": "dataset:../../etc/passwd"}, "prompts.source", "no safe name"),
        ({"prompts__source": ["dataset:x"]}, "prompts.source", "Write a mapping or a single value"),
        ({"prompts__source": {"world": {"sed": 1}}}, "prompts.source.world.sed", "Did you mean seed"),
        ({"models__weak": {"provider": "recorded", "completions": "dataset:a/b"}}, "models.weak.completions", "safe"),
        ({"models__weak": {"accuracy": 0.5}}, "models.weak.provider", "is missing. Use one of: openai"),
        ({"models__openai": {"provider": "openai"}}, "models.openai.model", "Add model"),
        ({"policies__toy__chat_template": "chatm"}, "policies.toy.chat_template", "human_assistant"),
        ({"policies__toy__stop": [""]}, "policies.toy.stop.0", "at least 1"),
        ({"policies__toy__engine": "vlm"}, "policies.toy.engine", "Use one of: embedded"),
        ({"policies__toy__lora": {"target_modules": 5}}, "policies.toy.lora.target_modules", "all-linear"),
        ({"policies__toy__lora": {"quantize": "int8"}}, "policies.toy.lora.quantize", "nf4"),
        ({"policies__toy__attention": "flash"}, "policies.toy.attention", "flash_attention_2"),
        ({"policies__toy__attention": "flash_attention_2"}, "policies.toy.attention", "precision: bfloat16"),
        ({"policies__toy__precision": "fp16"}, "policies.toy.precision", "bfloat16"),
        ({"defaults": {"sft": {"packing": "yes"}}}, "defaults.sft.packing", "type bool"),
        ({"defaults": {"sft": {"packing_strategy": "bdf"}}}, "defaults.sft.packing_strategy", "Did you mean bfd"),
        ({"defaults": {"rl": {"packing": True}}}, "defaults.rl.packing", "no such argument"),
        ({"defaults": {"sft": {"gradient_checkpointing": 1}}}, "defaults.sft.gradient_checkpointing", "type bool"),
        ({"defaults": {"sft": {"completion_only_loss": False}}}, "defaults.sft.completion_only_loss", "Remove it"),
        ({"defaults": {"sft": {"report_to": "wandb"}}}, "defaults.sft.report_to", "set by Touchstone"),
        ({"report_to": ["wand"]}, "report_to.0", "wandb"),
        ({"report_to": "wandb"}, "report_to", "Write a list"),
        ({"arms__sft-weak__sft__max_loss": 0}, "arms.sft-weak.sft.max_loss", "greater than 0"),
        ({"arms__rlaif-weak__rl__max_loss": float("nan")}, "arms.rlaif-weak.rl.max_loss", "finite"),
        ({"arms": {"../x": {"sft": {"teacher": "weak"}}}}, "arms.../x", "Use 1 to 64 letters"),
        ({"arms__openai": {"sft": {"teacher": "weak", "x": 1}}}, "arms.openai.sft.x", "may stand here is args"),
        ({"arms__sft-weak__sft__fraction": 0.001}, "arms.sft-weak.sft.fraction", "none of the 100 train prompts"),
        ({"arms__rlaif-weak__sft__fraction": 0.999}, "arms.rlaif-weak.sft.fraction", "no prompts for the RL step"),
        ({"arms__rlaif-weak__rl__method": "sft"}, "arms.rlaif-weak.rl.method", "Use one of: cpo, distill, dpo"),
        ({"arms__start-weak": {"sft": {"teacher": "strong"}}}, "arms.start-weak", "start of rlaif-weak"),
        (
            {"arms__weak": {"sft": {"teacher": "weak", "fraction": 0.5}, "rl": {"critic": "critic"}}},
            "arms.weak",
            "Rename one",
        ),
        ({"evaluations__win-rate__temperature": -0.5}, "evaluations.win-rate.temperature", "0.0 or more"),
        ({"evaluations__win-rate__temperature": [0.7, -1]}, "evaluations.win-rate.temperature.1", "0.0 or more"),
        ({"evaluations__win-rate__temperature": []}, "evaluations.win-rate.temperature", "at least 1"),
        ({"evaluations__win-rate__temperature": [0.7, 0.7]}, "evaluations.win-rate.temperature", "Give each once"),
        ({"evaluations__win-rate__temperature": ["nan"]}, "evaluations.win-rate.temperature.0", "finite"),
        ({"worth": 7}, "worth", "is no mapping"),
        ({"worth": {"points": 2, "usd_per_point": 3}}, "worth.points", "Remove it"),
        ({"worth": {"points": "inf"}}, "worth.points", "finite"),
        ({"budget_usd": "nan"}, "budget_usd", "finite"),
        ({"looks": 10**12}, "looks", "1000 or less"),
        ({"contrasts": {"mine": ["sft-weak"]}}, "contrasts.mine", "Give 2"),
        ({"contrasts": {"headline": ["sft-weak", "sft-weak"]}}, "contrasts.headline", "with itself"),
        ({"tuning_trials": {"sft-weak": -1}}, "tuning_trials.sft-weak", "0 or more"),
        ({"weak": "weak"}, "weak", "preset: teacher_or_critic"),
    ],
)
def test_a_mistake_names_its_field_and_the_fix(change: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(**change))
    found = {error.field: str(error) for error in caught.value.errors}
    assert field in found
    assert says in found[field]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://h/v1",
        "http://u:hidden@h/v1",
        "http://key:hidden/v1",
        "http://[::1/v1",
        "http://h:99999/v1",
        "http://h\x00/",
    ],
)
def test_a_url_that_cannot_be_asked_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_spec(spec_with(models__weak={"provider": "openai", "model": "gpt-4", "base_url": url}))
    assert [error.field for error in caught.value.errors] == ["models.weak.base_url"]
    assert "https://" in caught.value.fix and "hidden" not in str(caught.value)


def test_an_arm_may_write_a_start_out() -> None:
    spec = parse_spec(spec_with(**{"arms__start-weak": {"sft": {"teacher": "weak", "fraction": 0.1}}}))
    assert start_arms(spec)["rlaif-weak"] == "start-weak"


@pytest.mark.parametrize("arms", [["x"], "x", []])
def test_a_preset_s_own_arms_are_a_mapping(arms: Any) -> None:
    wrong = spec_with(arms=arms, preset="teacher_or_critic", weak="weak", strong="strong", critic="critic")
    with pytest.raises(BadInput) as caught:
        parse_spec(wrong)
    assert caught.value.field == "arms" and "mapping" in caught.value.fix


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
