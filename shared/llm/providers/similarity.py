"""`similarity`: an offline critic that prefers the completion closer to a named model's, by chrF.

A stand-in for an LLM critic that needs no key. It measures imitation of that model, not quality, and says so.
chrF: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", as sacrebleu computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from shared.llm.providers.base import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.plan.comparisons import Candidate


class SimilarityModel(ModelSpec):
    """A critic or judge without an endpoint."""

    provider: Literal["similarity"]
    towards: str = Field(description="the model of this spec whose completions are taken as good")
    measure: ClassVar[str] = "chrF2"

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def offline(self) -> bool:
        return True

    @property
    def imitation(self) -> bool:
        return True

    def needs(self) -> Mapping[str, str]:
        return {"towards": self.towards}

    def identity(self) -> dict[str, Any]:
        """Without `towards`, which is a name: the stage that wrote those completions is an input."""
        return {"provider": "similarity", "metric": "chrF2"}

    @classmethod
    def scorer(cls, identity: Mapping[str, Any], tables: Mapping[str, pa.Table]) -> Callable[[Candidate], float | None]:
        """A prompt for which the named model has no completion gets no score."""
        targets = dict(zip(*(tables["towards"][name].to_pylist() for name in ("prompt_id", "completion")), strict=True))
        score = chrf_scorer()
        return lambda one: score(one.completion, targets[one.prompt_id]) if one.prompt_id in targets else None


def chrf_scorer() -> Callable[[str, str], float]:
    """A function (completion, target) -> chrF2, 0..100; an empty completion or target scores 0."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return lambda completion, target: float(metric.sentence_score(completion, [target]).score)
