"""What tests of the caller need again and again; run as a program, it asks and says so (to be killed in the middle)."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from shared.llm import compaction
from shared.llm.caller import Answers, Origin, answer_all
from shared.llm.chat import ChatRequest
from shared.llm.endpoints import TIMEOUT, Endpoint
from shared.llm.providers.base import Limits, Price
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


STEPS = {"append": 30, "put": 2, "release": 2, "delete": 1}
"""After which of its calls a process is to die: an answer is on disk, its segment is in the store, its claims are given
back, or one of the segments that were made into one is deleted."""


def die_after(step: str, session: Session) -> None:
    """Have this process kill itself right after a step of the ledger's work."""
    ledger, calls = session.ledger, [0]
    place = {"append": ledger, "release": ledger.claims}.get(step, ledger._store)
    real = getattr(place, step)
    if step == "delete":
        compaction.SETTLED, compaction.ENOUGH = timedelta(minutes=-1), 1

    def deadly(*args: Any) -> Any:
        found = real(list(args[0])[:1]) if step == "delete" else real(*args)
        calls[0] += 1
        if calls[0] == STEPS[step]:
            sys.stdout.write(f"died at {time.time()}\n")
            sys.stdout.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(place, step, deadly)


def main() -> None:
    """`python -m tests.integration.llm.asking COUNT`, in the environment of a worker: asks a simulated teacher."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int)
    parser.add_argument("--seed", type=int, default=0, help="other prompts")
    parser.add_argument("--experiment", default=ORIGIN.experiment)
    parser.add_argument("--limits", default="{}", help="as JSON")
    parser.add_argument("--price", type=Price.model_validate_json, help="as JSON")
    parser.add_argument("--timeout", type=float, default=TIMEOUT)
    parser.add_argument("--model", help="asked by this name, as an OpenAI model")
    parser.add_argument("--die-after", choices=STEPS, help="SIGKILL itself right after this step")
    options = parser.parse_args()
    settings = get_settings()
    session = Session(settings, S3Store.from_settings(settings), redis_client(settings))
    if options.die_after:
        die_after(options.die_after, session)
    session.ledger.recover()
    prompts = make_prompts(options.count, seed=options.seed)
    asked = [ChatRequest(({"role": "user", "content": prompt.text},)) for prompt in prompts]
    identity = SimulatedModel(provider="simulated", accuracy=0.5).identity()
    if options.model:
        identity = OpenAIModel(provider="openai", model=options.model, base_url=settings.simulator_url).identity()
    limits = Limits.model_validate_json(options.limits)
    endpoint = Endpoint("teacher", limits=limits, price=options.price, timeout=options.timeout)
    answers = answer_all(asked, identity, endpoint, session, Watcher(), Origin(options.experiment, "stage"))
    sys.stdout.write(f"sent {answers.sent} of {len(answers.entries)}\n")
    session.close()


if __name__ == "__main__":
    main()
