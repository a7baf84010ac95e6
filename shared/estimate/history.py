"""What like stages took before: tokens a row of the same model and kind, device seconds a row of the same base."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from shared.artifacts import Manifest
from shared.canonical import content_key
from shared.estimate.asks import asked_model, stage_rows
from shared.estimate.quantity import Quantity, observed
from shared.llm.chat import endpoint_of
from shared.plan.model import Plan, Stage

ALIKE = {
    "pretrain": ("settings",),
    "sft": ("method", "args", "precision", "lora", "max_length"),
    "reference": ("args", "precision", "quantize", "max_length"),
    "rl": ("method", "args", "precision", "lora", "max_length"),
    "reward_model": ("method", "args", "precision", "lora", "max_length"),
    "sample": ("engine", "dtype", "max_tokens"),
    "score": ("engine", "dtype", "max_length"),
    "reward": ("model", "dtype", "max_length"),
}
"""The kinds that need a device, and the params that must be the same for one to tell how long another takes."""


def likeness(stage: Stage, plan: Plan) -> str | None:
    """What stages must have in common for one to tell of another; None of a kind that has no history."""
    if (model := asked_model(stage)) is not None:
        asked = [stage.params["ask"]] if "ask" in stage.params else []
        return content_key([stage.kind, endpoint_of(model), *asked])
    if stage.kind not in ALIKE:
        return None
    same = [stage.params.get(name) for name in ALIKE[stage.kind]]
    return content_key([stage.kind, same, _base(stage, plan), sorted(set(stage.inputs) - {"start"})])


def work_of(stage: Stage, plan: Plan, counts: Mapping[str, int]) -> float:
    """The size of a stage, in rows or samples."""
    if stage.kind == "pretrain":
        return 1.0
    # A reward model scores every sample of a prompt.
    drawn = plan.stages[stage.inputs["completions"]] if stage.kind == "reward" else stage
    return float(stage_rows(stage, plan, counts) * int(drawn.params.get("n", 1)))


@dataclass(frozen=True)
class Took:
    """One committed stage: its size, and the device seconds, or the requests that it came to and their tokens."""

    work: float = 0.0
    seconds: float = 0.0
    requests: float = 0.0
    requests_paid: float = 0.0
    input_tokens: float = 0.0
    output_tokens: float = 0.0

    @classmethod
    def of(cls, manifest: Manifest, work: float, member: str = "") -> Took:
        """What a stage took; with a `member`, what that one of its ensemble did."""
        metrics = manifest.metrics if not member else manifest.metrics.get("members", {}).get(member, {})
        names = ("requests", "requests_paid", "input_tokens", "output_tokens")
        numbers = (float(metrics.get(name) or 0) for name in names)
        return cls(work, manifest.cost.device_seconds, *numbers)


@dataclass(frozen=True)
class Spent:
    """Tokens in and out for one row, as `requests` requests for `rows` rows showed."""

    input: Quantity
    output: Quantity
    requests: float
    rows: float


@dataclass(frozen=True)
class History:
    """What was seen, by likeness."""

    seen: Mapping[str, list[Took]] = field(default_factory=dict)

    def tokens(self, like: str | None) -> Spent | None:
        """What a row took; None where there were none.

        Of a row, not of a request: identical completions, about which no critic is asked, are then in it. The low end
        leaves out what those stages found in the ledger, since others had asked it.
        """
        found = [took for took in self._of(like) if took.work and took.input_tokens and took.output_tokens]
        if not found:
            return None
        rows = [took.work for took in found]
        requests = sum(took.requests for took in found)
        paid = sum(took.requests_paid for took in found) / requests if requests else 1.0
        way = [observed([getattr(took, name) for took in found], rows) for name in ("input_tokens", "output_tokens")]
        ends = [replace(one, low=min(one.low, one.expected * paid)) for one in way]
        return Spent(ends[0], ends[1], requests, sum(rows))

    def seconds(self, like: str | None, work: float) -> Quantity | None:
        """Device seconds of a stage of this size; None where there was none like it."""
        found = [took for took in self._of(like) if took.work and took.seconds]
        if not found:
            return None
        return observed([took.seconds for took in found], [took.work for took in found]).times(work)

    def _of(self, like: str | None) -> Iterable[Took]:
        return self.seen.get(like, []) if like is not None else []


def _base(stage: Stage, plan: Plan) -> Any:
    """The base model that a stage's checkpoint comes from."""
    if stage.kind == "pretrain":
        return stage.params["settings"]
    if stage.kind in {"sft", "sample", "score"} and "model" in stage.params:
        return stage.params["model"]
    for name, key in stage.inputs.items():
        # Of several that one is chosen among, all have the same base.
        if name in {"base", "start", "checkpoint", "training"} or name.startswith("model/"):
            return _base(plan.stages[key], plan)
    return None
