"""The win rate that arms would have if their completions were as long as the reference's, from one fit over all arms.

It asks nothing of its own: its judge stages are those of the raw evaluation by the same judge, reference and
temperature. The fit is the analyst's (services/analyst/length_control).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import Field

from shared.protocols.alpaca_eval import SHOWN, AlpacaEval, Order
from shared.protocols.base import Builder, Evaluation, JudgedArm
from shared.protocols.pairwise import Pairwise
from shared.protocols.referenced import Referenced

At = float | str | None
"""A temperature, or best_on_dev."""


class LengthControlled(Referenced):
    """`protocol: length_controlled`."""

    protocol: Literal["length_controlled"]
    length_controlled: Literal["joint", "alpaca_eval_minimal"] = Field(
        "joint", description="one fit over all arms; or one for each arm, as AlpacaEval's length_controlled_minimal"
    )
    order: Order | None = Field(
        None, description="that of the `alpaca_eval` evaluation to control; None: the judge's own, as `pairwise` has it"
    )

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        return self.judged(build, arm, temperature, None if self.order is None else SHOWN[self.order])

    def raw(self, at: At, others: Mapping[str, Evaluation]) -> str | None:
        """The full name of the evaluation that takes the same judgements as they are; None where there is none."""
        for name, other in others.items():
            if isinstance(other, Pairwise | AlpacaEval) and _has(other, at, self.temperatures()):
                order = other.order if isinstance(other, AlpacaEval) else None
                if (other.models(), order) == (self.models(), self.order):
                    return f"{name}@{at}"
        return None

    def not_primary(self, at: At, others: Mapping[str, Evaluation]) -> tuple[str, str] | None:
        problem = (
            "is length-controlled: its figures come from one fit over all arms, and are no means of scores by prompt, "
            "which the verdict's interval is made for"
        )
        raw = self.raw(at, others)
        if raw is None:
            protocol = "pairwise" if self.order is None else "alpaca_eval"
            return problem, f"Add an evaluation by `protocol: {protocol}` with the same judge and reference; name that."
        return problem, f"Write {raw!r}; the controlled figure stands beside it in the report."


def _has(other: Pairwise | AlpacaEval, at: At, temperatures: Sequence[float]) -> bool:
    """Whether it has this temperature, or chooses among the same ones on dev."""
    if isinstance(at, str):
        return other.best_on_dev and set(other.temperatures()) == set(temperatures)
    return at in other.temperatures()


def report_facts(evaluation: Evaluation, at: At, others: Mapping[str, Evaluation]) -> dict[str, Any]:
    """What the report must know of an evaluation if it is length-controlled: by which method, and of which raw one."""
    if not isinstance(evaluation, LengthControlled):
        return {}
    return {"length_controlled": evaluation.length_controlled, "raw": evaluation.raw(at, others)}
