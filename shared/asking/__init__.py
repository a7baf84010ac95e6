"""The ways to ask a critic. Adding one is one file beside these and one line here."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, TypeAdapter

from shared.asking.base import Ask
from shared.asking.checklist import ChecklistAsk
from shared.asking.pairwise import PairwiseAsk
from shared.asking.rubric import RubricAsk
from shared.asking.score import ScoreAsk
from shared.asking.turns import MT_BENCH, TurnsAsk

ASKS: dict[str, type[Ask]] = {
    "pairwise": PairwiseAsk,
    "score": ScoreAsk,
    "rubric": RubricAsk,
    "checklist": ChecklistAsk,
}
DEFAULT: Ask = PairwiseAsk(kind="pairwise")
OF_PROTOCOLS: dict[str, type[Ask]] = {MT_BENCH: TurnsAsk}
"""Ways in which a protocol asks by itself; no spec can name them."""

if TYPE_CHECKING:
    AnyAsk = Ask
else:
    AnyAsk = Annotated[reduce(or_, ASKS.values()), Field(discriminator="kind")]


def read_ask(params: Mapping[str, Any]) -> Ask:
    """The way of asking that a stage's params hold; the default where they hold none."""
    given = params.get("ask")
    if given is None:
        return DEFAULT
    own = OF_PROTOCOLS.get(given["kind"])
    ask: Ask = TypeAdapter(AnyAsk).validate_python(given) if own is None else own.model_validate(given)
    return ask


__all__ = ["ASKS", "DEFAULT", "OF_PROTOCOLS", "AnyAsk", "Ask", "TurnsAsk", "read_ask"]
