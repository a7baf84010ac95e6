"""Which keys a spec may name, and where they may be sent."""

from __future__ import annotations

import pytest

from shared.errors import BadInput
from shared.llm.credentials import check_credentials, read_key
from shared.llm.providers.openai import OpenAIModel
from shared.settings import Settings

KEY = "sk-the-value"


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv(
        "TOUCHSTONE_API_KEYS", "OPENAI_API_KEY=api.openai.com,LOCAL=10.0.0.1:8000|vllm,PORT=gateway.example:443"
    )
    monkeypatch.setenv("PORT", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", f"{KEY}\n")
    monkeypatch.setenv("LOCAL", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEY)
    return Settings()


@pytest.mark.parametrize(
    ("reference", "url"),
    [
        ("env:OPENAI_API_KEY", "https://api.openai.com/v1"),
        ("env:OPENAI_API_KEY", "https://API.OpenAI.com/v1"),
        ("env:LOCAL", "http://10.0.0.1:8000/v1"),
        ("env:LOCAL", "http://vllm:9000/v1"),
        ("env:PORT", "https://gateway.example/v1"),
    ],
)
def test_a_listed_key_goes_to_its_host(settings: Settings, reference: str, url: str) -> None:
    assert read_key(settings, "gpt-4", reference, url) == KEY


@pytest.mark.parametrize(
    ("reference", "url", "words"),
    [
        ("env:AWS_SECRET_ACCESS_KEY", "https://api.openai.com/v1", "TOUCHSTONE_API_KEYS=AWS_SECRET_ACCESS_KEY="),
        ("env:OPENAI_API_KEY", "https://evil.example/v1", "evil.example"),
        ("env:OPENAI_API_KEY", "https://api.openai.com.evil.example/v1", "evil.example"),
        ("env:OPENAI_API_KEY", "https://api.openai.com@evil.example/v1", "evil.example"),
        ("env:LOCAL", "http://10.0.0.1:8001/v1", "10.0.0.1:8001"),
        ("env:PORT", "http://gateway.example/v1", "gateway.example"),
    ],
)
def test_no_other_key_and_no_other_host(settings: Settings, reference: str, url: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_key(settings, "gpt-4", reference, url)
    assert caught.value.field == "models.gpt-4.api_key"
    assert words in str(caught.value)
    assert KEY not in str(caught.value)


def test_a_key_that_is_not_set_here_says_so(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL", " ")
    with pytest.raises(BadInput, match="LOCAL is not set"):
        read_key(settings, "m", "env:LOCAL", "http://vllm/v1")


def test_a_spec_is_checked_without_reading_the_key(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    model = OpenAIModel(provider="openai", model="gpt-4", api_key="env:OPENAI_API_KEY")
    check_credentials(settings, "gpt-4", model)
    with pytest.raises(BadInput, match=r"models\.gpt-4\.api_key"):
        check_credentials(settings, "gpt-4", model.model_copy(update={"base_url": "https://evil.example/v1"}))
    check_credentials(settings, "x", OpenAIModel(provider="openai", model="m", base_url="http://anywhere/v1"))
