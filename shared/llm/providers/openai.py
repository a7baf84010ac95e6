"""`openai`: any server that speaks OpenAI's chat completions (OpenAI itself, vLLM, TGI, a local one)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from shared.llm.credentials import read_key
from shared.llm.providers.base import BaseUrl, EndpointSpec

if TYPE_CHECKING:
    from shared.llm.batches import BatchAPI
    from shared.llm.chat import ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.settings import Settings

OPENAI_URL = "https://api.openai.com/v1"


class OpenAIModel(EndpointSpec):
    """A teacher, critic or judge behind the OpenAI protocol."""

    provider: Literal["openai"]
    model: str = Field(min_length=1, description="the model's name at the endpoint")
    base_url: BaseUrl = Field(OPENAI_URL, description="the endpoint's URL, up to and with /v1")
    mode: Literal["direct", "batch"] = Field(
        "direct", description="batch: through the endpoint's Batch API, at half the price and within a day"
    )

    @property
    def listed_at(self) -> tuple[str, str] | None:
        return urlsplit(self.base_url).hostname or "", self.model

    def identity(self) -> dict[str, Any]:
        return {"provider": "openai", "base_url": self.base_url, "model": self.model} | self._asked()

    def options(self) -> dict[str, Any]:
        return super().options() | ({} if self.mode == "direct" else {"mode": self.mode})

    @classmethod
    def connect(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> ChatModel:
        from shared.llm.openai_chat import OpenAIChat

        return OpenAIChat(
            model=identity["model"],
            base_url=identity["base_url"],
            api_key=read_key(settings, endpoint.name, endpoint.api_key, identity["base_url"]),
            connections=endpoint.limits.concurrency or settings.request_concurrency,
        )

    @classmethod
    def connect_batches(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> BatchAPI:
        from shared.llm.openai_batches import OpenAIBatches

        key = read_key(settings, endpoint.name, endpoint.api_key, identity["base_url"])
        return OpenAIBatches(identity["model"], identity["base_url"], key, endpoint.timeout)
