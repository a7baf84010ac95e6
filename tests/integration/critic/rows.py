"""Completions and critics for tests of the critic worker."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa

from shared import records
from shared.artifacts import CommitRef
from shared.asking import read_ask
from shared.attempts import Marker, read_markers
from shared.llm.providers.simulated import SimulatedModel
from shared.units import Unit
from shared.world.prompts import make_prompts
from tests.integration.llm.units import artifact, made, run, send, unit
from tests.stack import Stack
from tests.waiting import wait_until

PROMPTS = make_prompts(30, seed=0)
CRITIC = SimulatedModel(provider="simulated", error_rate=0.0)


def completions(*texts: list[str]) -> pa.Table:
    """The n-th text of each list is the n-th prompt's; one list a sample."""
    rows = [
        {"prompt_id": prompt.prompt_id, "sample_index": index, "prompt": prompt.text, "completion": sample[place]}
        for place, prompt in enumerate(PROMPTS)
        for index, sample in enumerate(texts)
        if place < len(sample)
    ]
    return records.from_rows(rows, records.COMPLETIONS)


def words(first: int, count: int = 30) -> list[str]:
    """Answers that are wrong in many ways: parts of the prompts themselves."""
    return [" ".join(prompt.text.split()[first : first + 3]) for prompt in PROMPTS[:count]]


def label_params(identity: dict[str, Any], **ask: Any) -> dict[str, Any]:
    """Params of a label stage, as the plan makes them."""
    asked = {"ask": ask} if ask else {}
    return {"pairs": "on_policy", "critic": identity, "order": read_ask(asked).shown, **asked}


def labelled(stack: Stack, params: dict[str, Any], samples: CommitRef, **more: Any) -> tuple[list[Any], dict[str, Any]]:
    """The rows and metrics of a label stage."""
    inputs, options = more.pop("inputs", {}), more.pop("options", {"name": "critic"})
    given = unit("label", params, {"samples": samples, **inputs}, options=options)
    found = artifact(stack, run(stack, given))
    return found.rows().to_pylist(), found.manifest.metrics


def failure(stack: Stack, given: Unit) -> Marker:
    """Queue a unit and wait for its first attempt to fail."""
    send(stack, given)

    def ended() -> Marker | None:
        found = [marker for marker in read_markers(stack.store, given.attempts_prefix) if marker.outcome]
        return found[0] if found else None

    marker = wait_until(ended, 60, "the attempt to fail")
    assert marker is not None and marker.outcome == "error", marker
    return marker


def samples_of(stack: Stack, *texts: list[str]) -> CommitRef:
    """A sample stage's commit."""
    return made(stack, "sample", completions(*texts), {"prompts": len(texts[0])})


def logprobs(**first: float) -> dict[str, Any]:
    """A choice's log-probabilities, from the first token's probabilities."""
    tops = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in first.items()]
    return {"content": [{**tops[0], "top_logprobs": tops}], "refusal": None}
