"""A server that runs already (TGI, vLLM, anything OpenAI-compatible), reached by its URL. It is not ours to end."""

from __future__ import annotations

import httpx

from services.inference.engines.base import Serve
from shared.errors import Outage


class ExternalEngine:
    """A server at a URL. It serves what it was started with: that it is the checkpoint's is its operator's promise."""

    def __init__(self, url: str, serve: Serve) -> None:
        self.url = url.rstrip("/") if url.rstrip("/").endswith("/v1") else f"{url.rstrip('/')}/v1"
        try:
            answer = httpx.get(f"{self.url}/models", timeout=10).raise_for_status().json()
            self.model = str(answer["data"][0]["id"])
        except (httpx.HTTPError, KeyError, IndexError, ValueError) as error:
            raise Outage(f"the engine at {url} does not answer (policies.<policy>.engine): {error}") from error

    def alive(self) -> bool:
        return True

    def close(self) -> None:
        return None
