"""`similarity`: an offline critic that prefers the completion closer to a named model's, by chrF.

A stand-in for an LLM critic that needs no key. It measures imitation of that model, not quality, and says so.
chrF: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", as sacrebleu computes it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from shared.comparisons import Comparison, Verdict, Verdicts
from shared.llm.providers.base import ModelSpec

if TYPE_CHECKING:
    import pyarrow as pa


class SimilarityModel(ModelSpec):
    """A critic or judge without an endpoint."""

    provider: Literal["similarity"]
    towards: str = Field(description="the model of this spec whose completions are taken as good")

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def offline(self) -> bool:
        return True

    @property
    def imitation(self) -> bool:
        return True

    @property
    def towards_model(self) -> str | None:
        return self.towards

    def identity(self) -> dict[str, Any]:
        """Without `towards`, which is a name: the stage that wrote those completions is an input."""
        return {"provider": "similarity", "metric": "chrF2"}

    @classmethod
    def compare_offline(cls, comparisons: Sequence[Comparison], tables: Mapping[str, pa.Table]) -> list[Verdicts]:
        """A prompt for which the named model has no completion gets no verdict."""
        targets = dict(zip(*(tables["towards"][name].to_pylist() for name in ("prompt_id", "completion")), strict=True))
        score = chrf_scorer()
        return [
            _closer(comparison, targets[comparison.prompt_id], score)
            if comparison.prompt_id in targets
            else Verdicts(None, None, raw_ab="nothing to compare with")
            for comparison in comparisons
        ]


def chrf_scorer() -> Callable[[str, str], float]:
    """A function (completion, target) -> chrF2, 0..100; an empty completion or target scores 0."""
    from sacrebleu.metrics.chrf import CHRF

    metric = CHRF()
    return lambda completion, target: float(metric.sentence_score(completion, [target]).score)


def _closer(comparison: Comparison, target: str, score: Callable[[str, str], float]) -> Verdicts:
    """One verdict: this critic knows no order."""
    a, b = score(comparison.a, target), score(comparison.b, target)
    verdict: Verdict = "tie" if a == b else "a" if a > b else "b"
    return Verdicts(ab=verdict, ba=None, raw_ab=f"chrF2 {a:.4f} for a, {b:.4f} for b")
