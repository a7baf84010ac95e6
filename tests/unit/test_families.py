"""Families of judges, and what is said where all are of one."""

from __future__ import annotations

from typing import Any

import pytest

from shared.families import another_family, families, family_of, family_warning
from shared.spec.parse import parse_spec
from tests.unit.specs import spec_with

ENDPOINT = {"provider": "openai", "base_url": "http://127.0.0.1:1/v1", "price": "unknown"}


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("gpt-4-0613", "gpt"),
        ("o3-mini", "gpt"),
        ("text-davinci-003", "gpt"),
        ("ft:gpt-4o-mini:mine::1", "gpt"),
        ("claude-3-5-sonnet-20241022", "claude"),
        ("meta-llama/Llama-3.1-70B-Instruct", "llama"),
        ("Qwen/Qwen2.5-72B", "qwen"),
        ("mixtral-8x7b", "mistral"),
        ("4-bit", "4-bit"),
    ],
)
def test_a_family_is_what_a_models_name_begins_with(name: str, family: str) -> None:
    assert family_of(name) == family


def judged_by(first: str, *others: str) -> Any:
    """The small spec with judges of these endpoint models, one evaluation each."""
    models = {f"models__j{place}": {**ENDPOINT, "model": name} for place, name in enumerate((first, *others))}
    more = {
        f"evaluations__second-{place}": {
            "protocol": "pairwise", "judge": f"j{place}", "reference": "weak", "temperature": [0.7],
        }
        for place in range(1, 1 + len(others))
    }  # fmt: skip
    return parse_spec(spec_with(**models, **more, **{"evaluations__win-rate__judge": "j0"}))


def test_one_judge_is_warned_of() -> None:
    spec = judged_by("gpt-4")
    assert another_family(spec) is False
    assert "(gpt)" in (family_warning(spec) or "") and "another judge than j0" in (family_warning(spec) or "")


def test_a_second_judge_of_the_same_family_is_none_of_another() -> None:
    assert another_family(judged_by("gpt-4", "gpt-4o-mini")) is False


def test_a_second_judge_of_another_family_silences_the_warning() -> None:
    spec = judged_by("gpt-4", "claude-3-opus")
    assert another_family(spec) is True and family_warning(spec) is None


def test_simulated_judges_differ_by_settings_and_seed() -> None:
    spec = parse_spec(spec_with(models__other={"provider": "simulated", "error_rate": 0.1, "seed": 5}))
    assert families(spec, "critic") != families(spec, "other")
    assert families(spec, "critic") == {"simulated error_rate=0.1"}


def test_an_ensemble_has_its_members_families() -> None:
    together = {"provider": "ensemble", "members": ["one", "two"]}
    models = {f"models__{name}": {**ENDPOINT, "model": model} for name, model in (("one", "gpt-4"), ("two", "gemma"))}
    assert families(parse_spec(spec_with(**models, models__both=together)), "both") == {"gpt", "gemma"}


def test_a_matrix_of_judges_is_a_second_judge() -> None:
    models = {f"models__{name}": {**ENDPOINT, "model": name} for name in ("gpt-4", "claude-3")}
    assert another_family(parse_spec(spec_with(**models, matrix={"judges": ["gpt-4", "claude-3"]}))) is True


def test_a_primary_without_a_judge_is_not_warned_of() -> None:
    nll = {"evaluations__nll": {"protocol": "nll", "completions": "weak"}, "primary": {"evaluation": "nll"}}
    assert another_family(parse_spec(spec_with(**nll))) is None and family_warning(parse_spec(spec_with(**nll))) is None
