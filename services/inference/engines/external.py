"""A server that runs already (TGI, vLLM, or any that speaks OpenAI's protocol), reached by its URL."""

from __future__ import annotations

import httpx2

from services.inference.engines.base import Check, Client, Engine, Note, Serving, quiet
from shared.errors import Outage

TIMEOUT = 10.0


class ExternalEngine:
    """It serves what its operator started it with; Touchstone neither starts nor ends it."""

    managed = False
    together = False

    def __init__(self, url: str, model: str, client: Client) -> None:
        self.url = url
        self.model = model
        self.client = client

    def healthy(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/v1/models", timeout=TIMEOUT, trust_env=False).is_success
        except httpx2.HTTPError:
            return False

    def last_words(self) -> str:
        return ""

    def end(self) -> None:
        return None


class ExternalEngines:
    """Finds out what a running server calls its model."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def start(self, serving: Serving, check: Check, note: Note = quiet) -> Engine:
        assert serving.url is not None
        url = serving.url.rstrip("/").removesuffix("/v1")
        check()
        try:
            response = httpx2.get(f"{url}/v1/models", timeout=TIMEOUT, trust_env=False).raise_for_status()
            model = str(response.json()["data"][0]["id"])
        except httpx2.HTTPError as error:
            raise Outage(f"the engine at {url} does not answer ({error}); see policies.<name>.engine") from error
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise Outage(f"{url}/v1/models lists no model; see policies.<name>.engine") from error
        return ExternalEngine(url, model, self._client)

    def close(self) -> None:
        return None
