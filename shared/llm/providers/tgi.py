"""`tgi`: a Text Generation Inference server, or one that speaks as it does, through huggingface_hub's client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field

from shared.llm.credentials import read_key
from shared.llm.providers.base import BaseUrl, EndpointSpec

if TYPE_CHECKING:
    from shared.llm.chat import ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.settings import Settings


class TGIModel(EndpointSpec):
    """A teacher, critic or judge behind TGI."""

    provider: Literal["tgi"]
    base_url: BaseUrl = Field(description="the server's URL")
    model: str = Field("tgi", description="the model's name there; TGI serves one and takes any")

    @property
    def listed_at(self) -> tuple[str, str] | None:
        return urlsplit(self.base_url).hostname or "", self.model

    def identity(self) -> dict[str, Any]:
        return {"provider": "tgi", "base_url": self.base_url, "model": self.model} | self._asked()

    @classmethod
    def connect(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> ChatModel:
        from shared.llm.tgi_chat import TGIChat

        key = read_key(settings, endpoint.name, endpoint.api_key, identity["base_url"])
        return TGIChat(identity["model"], identity["base_url"], key, endpoint.timeout)
