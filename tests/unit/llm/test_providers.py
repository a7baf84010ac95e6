"""Models of a spec: what each provider accepts and what its identity holds."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import ValidationError

from shared.llm.providers import PROVIDERS, ModelSpec

SECRET = "sk-very-secret-0123456789"

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "openai": [{"model": "gpt-4-0613", "api_key": "env:OPENAI_API_KEY", "price": {"input": 30.0, "output": 60.0}}],
    "anthropic": [{"model": "claude-1", "api_key": "env:ANTHROPIC_API_KEY", "reask": {"refused": 1}}],
    "tgi": [{"base_url": "http://tgi:8080"}],
    "recorded": [{"completions": "dataset:gpt-3.5"}, {"preferences": "dataset:labels"}],
    "simulated": [{"accuracy": 0.5}, {"error_rate": 0.1}, {}],
    "similarity": [{"towards": "gpt-4"}],
    "verifiable": [{"check": "exact", "answers": "dataset:gold"}, {"check": "regex", "pattern": "yes"}],
    "reward_model": [{"model": "model:tiny"}],
    "ensemble": [{"members": ["gpt-4", "claude"]}],
}
ALL = [(provider, fields) for provider, rows in EXAMPLES.items() for fields in rows]


def make(provider: str, **fields: Any) -> ModelSpec:
    return PROVIDERS[provider].model_validate({"provider": provider, **fields})


def test_every_provider_has_an_example_here() -> None:
    assert set(EXAMPLES) == set(PROVIDERS)


@pytest.mark.parametrize(("provider", "fields"), ALL)
def test_an_identity_holds_no_key_limit_or_price(provider: str, fields: dict[str, Any]) -> None:
    text = str(make(provider, **fields).identity())
    assert provider in text
    for word in ("api_key", "_API_KEY", "limits", "price", "127.0.0.1"):
        assert word not in text


@pytest.mark.parametrize(("provider", "fields"), ALL)
def test_a_model_can_teach_or_compare(provider: str, fields: dict[str, Any]) -> None:
    model = make(provider, **fields)
    assert model.can_teach or model.can_compare


@pytest.mark.parametrize(("provider", "fields"), ALL)
def test_an_unknown_field_is_refused(provider: str, fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="extra"):
        make(provider, **fields, colour="red")


@pytest.mark.parametrize("provider", ["openai", "anthropic", "tgi"])
@pytest.mark.parametrize("key", [SECRET, f"ENV:{SECRET}", f"env: {SECRET}"])
def test_a_literal_key_is_refused_and_never_repeated(provider: str, key: str) -> None:
    fields = EXAMPLES[provider][0] | {"api_key": key}
    with pytest.raises(ValidationError) as caught:
        make(provider, **fields)
    assert SECRET not in str(caught.value)
    assert SECRET not in str(caught.value.errors())
    assert caught.value.errors()[0]["loc"] == ("api_key",)
    assert "env:NAME" in caught.value.errors()[0]["msg"]


def test_what_changes_an_answer_changes_the_identity() -> None:
    base = {"model": "gpt-4", "base_url": "https://a.example/v1"}
    changes: list[dict[str, Any]] = [
        {"model": "gpt-5"},
        {"base_url": "https://b.example/v1"},
        {"temperature": 0.3},
        {"top_p": 0.9},
        {"max_tokens": 7},
        {"system": "Be brief."},
    ]
    plain = make("openai", **base).identity()
    identities = [make("openai", **base | change).identity() for change in changes]
    assert plain not in identities
    assert len({str(identity) for identity in identities}) == len(changes)


def test_what_changes_no_answer_changes_no_identity() -> None:
    base = {"model": "gpt-4", "base_url": "https://a.example/v1"}
    changes: list[dict[str, Any]] = [
        {"base_url": "https://a.example/v1/"},
        {"api_key": "env:OTHER"},
        {"limits": {"concurrency": 3}},
        {"price": {"input": 1, "output": 2}},
        {"mode": "batch"},
    ]
    plain = make("openai", **base).identity()
    assert all(make("openai", **base | change).identity() == plain for change in changes)


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://API.Example.COM/v1//", "https://api.example.com/v1"),
        ("HTTPS://api.example.com:443/v1", "https://api.example.com/v1"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8000/V1/", "http://[::1]:8000/V1"),
        ("https://api.example.com:80/v1", "https://api.example.com:80/v1"),
    ],
)
@pytest.mark.parametrize("provider", ["openai", "anthropic", "tgi"])
def test_one_endpoint_has_one_identity_however_it_is_written(provider: str, url: str, same: str) -> None:
    fields = EXAMPLES[provider][0]
    written = make(provider, **fields | {"base_url": url}).identity()
    assert written["base_url"] == same
    assert written == make(provider, **fields | {"base_url": same}).identity()


@pytest.mark.parametrize("url", ["ftp://a", "a.example/v1", "https://user:secret@a.example", "https://a/v1?key=1"])
def test_a_base_url_is_a_plain_http_address(url: str) -> None:
    with pytest.raises(ValidationError):
        make("openai", model="m", base_url=url)


def test_a_recorded_model_is_one_dataset_and_its_pin_is_its_identity() -> None:
    for fields in ({}, {"completions": "dataset:a", "preferences": "dataset:b"}):
        with pytest.raises(ValidationError, match="either completions or preferences"):
            make("recorded", **fields)
    first = make("recorded", completions="dataset:a", pinned="0" * 64)
    second = make("recorded", completions="dataset:renamed", pinned="0" * 64)
    assert first.identity() == second.identity()
    assert first.identity() != make("recorded", completions="dataset:a", pinned="1" * 64).identity()
    assert (first.dataset, first.can_teach, first.can_compare) == ("a", True, False)
    labels = make("recorded", preferences="dataset:b")
    assert (labels.records_preferences, labels.can_teach, labels.can_compare) == (True, False, True)


def test_simulated_roles_are_told_apart_by_their_settings() -> None:
    teacher, critic = make("simulated", accuracy=0.5), make("simulated", error_rate=0.1, seed=3)
    assert teacher.identity() == {"provider": "simulated", "model": "teacher?accuracy=0.5&seed=0"}
    assert (teacher.can_teach, teacher.can_compare) == (True, False)
    assert (critic.can_teach, critic.can_compare) == (False, True)
    assert "error_rate=0.1" in critic.identity()["model"] and "seed=3" in critic.identity()["model"]
    with pytest.raises(ValidationError, match="give one"):
        make("simulated", accuracy=0.5, error_rate=0.1)


def test_only_what_is_built_from_a_teacher_is_imitation() -> None:
    assert [provider for provider, fields in ALL if make(provider, **fields).imitation] == ["similarity"]
    assert make("similarity", towards="gpt-4").needs() == {"towards": "gpt-4"}


def test_reading_a_spec_needs_no_client_library() -> None:
    code = (
        "import sys, shared.llm.providers; "
        "names = ('openai', 'anthropic', 'huggingface_hub', 'sacrebleu', 'regex', 'torch', 'transformers'); "
        "print([name for name in names "
        "if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
