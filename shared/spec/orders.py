"""Whether the order that an evaluation wants its pairs shown in is one that its judge knows."""

from __future__ import annotations

from collections.abc import Iterator

from shared.errors import FieldError
from shared.protocols.alpaca_eval import AlpacaEval
from shared.protocols.length_controlled import LengthControlled
from shared.spec.model import Spec


def order_errors(spec: Spec) -> Iterator[FieldError]:
    """Orders of evaluations that their judges are never shown pairs in."""
    for name, evaluation in spec.evaluations.items():
        if not isinstance(evaluation, AlpacaEval | LengthControlled) or evaluation.order is None:
            continue
        field, judge = f"evaluations.{name}.order", spec.models[evaluation.judge]
        asks = [spec.models[one].asks for one in judge.parts or (evaluation.judge,)]
        ordered = [ask for ask in asks if ask is not None and ask.sort == "pairwise"]
        if not ordered and "order" in evaluation.model_fields_set:
            yield FieldError(field, f"means nothing to {evaluation.judge}, which is shown no pairs", "Remove it.")
        if evaluation.order != "both" and any(getattr(ask, "flip", "average") == "tie" for ask in ordered):
            problem = f"is {evaluation.order}, and {evaluation.judge} has `flip: tie`, which takes both orders"
            yield FieldError(field, problem, "Write `order: both`, or remove `flip`.")
