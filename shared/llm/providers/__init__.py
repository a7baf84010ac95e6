"""The providers: what a model of a spec may be. Adding one is one file beside these and one line here."""

from __future__ import annotations

from shared.llm.providers.base import ModelSpec
from shared.llm.providers.openai import OpenAIModel
from shared.llm.providers.recorded import RecordedModel
from shared.llm.providers.similarity import SimilarityModel
from shared.llm.providers.simulated import SimulatedModel
from shared.llm.providers.tgi import TGIModel

PROVIDERS: dict[str, type[ModelSpec]] = {
    model.provider_name(): model for model in (OpenAIModel, TGIModel, RecordedModel, SimulatedModel, SimilarityModel)
}

__all__ = ["PROVIDERS", "ModelSpec"]
