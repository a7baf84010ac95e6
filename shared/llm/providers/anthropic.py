"""`anthropic`: Claude, through Anthropic's own SDK, an optional extra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from shared.errors import BadInput
from shared.llm.credentials import read_key
from shared.llm.providers.base import BaseUrl, EndpointSpec

if TYPE_CHECKING:
    from shared.llm.chat import ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.settings import Settings

ANTHROPIC_URL = "https://api.anthropic.com"
INSTALL = "pip install 'touchstone-rlaif[anthropic]'"


class AnthropicModel(EndpointSpec):
    """A teacher, critic or judge behind Anthropic's Messages API. It gives no log-probabilities."""

    provider: Literal["anthropic"]
    model: str = Field(min_length=1, description="the model's name at the endpoint")
    base_url: BaseUrl = Field(ANTHROPIC_URL, description="the endpoint's URL, without /v1")
    temperature: float | None = Field(
        None, ge=0, le=1, description="None: 0 for a critic or judge, else the endpoint's default"
    )

    @property
    def gives_logprobs(self) -> bool:
        return False

    @property
    def listed_at(self) -> tuple[str, str] | None:
        return urlsplit(self.base_url).hostname or "", self.model

    def identity(self) -> dict[str, Any]:
        return {"provider": "anthropic", "base_url": self.base_url, "model": self.model} | self._asked()

    @classmethod
    def connect(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> ChatModel:
        try:
            from shared.llm.anthropic_chat import AnthropicChat
        except ModuleNotFoundError as error:
            raise BadInput(
                f"models.{endpoint.name}.provider",
                f"anthropic needs a package that is not installed here ({error.name})",
                f"Where the workers run: {INSTALL}.",
            ) from error
        return AnthropicChat(
            model=identity["model"],
            base_url=identity["base_url"],
            api_key=read_key(settings, endpoint.name, endpoint.api_key, identity["base_url"]),
            timeout=endpoint.timeout,
            connections=endpoint.limits.concurrency or settings.request_concurrency,
        )
