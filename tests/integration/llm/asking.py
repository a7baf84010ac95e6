"""What tests of the caller need again and again; run as a program, it asks and says so (to be killed in the middle)."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field

from shared.llm.caller import Answers, Origin, answer_all
from shared.llm.chat import ChatRequest
from shared.llm.endpoints import Endpoint
from shared.llm.providers.base import Limits
from shared.llm.providers.openai import OpenAIModel
from shared.llm.providers.simulated import SimulatedModel
from shared.llm.session import Session
from shared.queues import redis_client
from shared.settings import get_settings
from shared.store import S3Store
from shared.world.prompts import make_prompts

ORIGIN = Origin("experiment", "stage")


@dataclass
class Watcher:
    """A watch that lets everything be done until it is told otherwise."""

    held: bool = True
    budget: str | None = None
    reason: Exception | None = None
    seen: list[tuple[int, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def check(self) -> None:
        if self.reason is not None:
            raise self.reason

    def progress(self, done: int, total: int, note: str | None = None) -> None:
        self.seen.append((done, total))
        if note:
            self.notes.append(note)

    def advanced(self) -> None:
        """Nothing counts lost attempts here."""


def requests(count: int, prefix: str = "q") -> list[ChatRequest]:
    return [ChatRequest(({"role": "user", "content": f"{prefix}{number}"},)) for number in range(count)]


def ask(
    session: Session,
    url: str,
    asked: list[ChatRequest],
    watch: Watcher | None = None,
    endpoint: Endpoint | None = None,
    origin: Origin = ORIGIN,
) -> Answers:
    """Ask the model `m` at `url`."""
    identity = OpenAIModel(provider="openai", model="m", base_url=url).identity()
    return answer_all(asked, identity, endpoint or Endpoint("judge"), session, watch or Watcher(), origin)


def main() -> None:
    """`python -m tests.integration.llm.asking COUNT`, in the environment of a worker: asks a simulated teacher."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0, help="other prompts")
    parser.add_argument("--experiment", default=ORIGIN.experiment)
    parser.add_argument("--limits", default="{}", help="as JSON")
    options = parser.parse_args()
    settings = get_settings()
    session = Session(settings, S3Store.from_settings(settings), redis_client(settings))
    prompts = make_prompts(options.count, seed=options.seed)
    asked = [ChatRequest(({"role": "user", "content": prompt.text},)) for prompt in prompts]
    identity = SimulatedModel(provider="simulated", accuracy=0.5).identity()
    endpoint = Endpoint("teacher", limits=Limits.model_validate_json(options.limits))
    answers = answer_all(asked, identity, endpoint, session, Watcher(), Origin(options.experiment, "stage"))
    sys.stdout.write(f"sent {answers.sent} of {len(answers.entries)}\n")
    session.close()


if __name__ == "__main__":
    main()
