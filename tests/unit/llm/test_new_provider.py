"""A provider is one file and one line in the registry: this adds one, plans with it, prices it and asks it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

ECHO = """
from typing import Literal
from shared.llm.chat import Answer
from shared.llm.providers.base import EndpointSpec

class EchoChat:
    async def complete(self, request):
        text = request.messages[-1]["content"]
        return Answer(text[:request.max_tokens], "stop", len(text), len(text), "echo")

    async def aclose(self):
        pass

class EchoModel(EndpointSpec):
    provider: Literal["echo"]
    voice: str = "low"

    @property
    def listed_at(self):
        return "echo.example", self.voice

    def identity(self):
        return {"provider": "echo", "voice": self.voice} | self._asked()

    @classmethod
    def connect(cls, identity, endpoint, settings):
        return EchoChat()
"""

USE = """
from shared.llm.providers import PROVIDERS
from echo import EchoModel
PROVIDERS["echo"] = EchoModel

import asyncio
from shared.llm.chat import request_key, user_request
from shared.llm.endpoints import Endpoint
from shared.plan.experiment import plan
from shared.prices import price_errors
from shared.settings import Settings
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

echo = {"provider": "echo", "voice": "high", "max_tokens": 7, "price": {"input": 1, "output": 2}}
spec = spec_with(models__strong=echo, models__critic={"provider": "echo", "price": "unknown"})
assert list(price_errors(parse_spec(spec))) == []
missing = price_errors(parse_spec(spec_with(models__strong={"provider": "echo"})))
assert ["'low' at echo.example" in str(error) for error in missing] == [True]

stages = plan(resolved(spec)).stages.values()
(stage, *_) = [stage for stage in stages if stage.kind == "teach" and stage.params["model"]["provider"] == "echo"]
identity, endpoint = stage.params["model"], Endpoint.from_options(stage.options)
assert endpoint.price.output == 2 and any(stage.kind == "judge" for stage in stages)
request = user_request(identity, "hello, you")
chat = PROVIDERS[identity["provider"]].connect(identity, endpoint, Settings())
assert asyncio.run(chat.complete(request)).text == "hello, "
assert request_key(identity, request) != request_key(identity | {"voice": "low"}, request)
"""


def test_one_file_and_one_registration_add_a_provider(tmp_path: Path) -> None:
    (tmp_path / "echo.py").write_text(ECHO)
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + USE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
