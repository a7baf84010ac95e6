"""The providers: what a model of a spec may be. Adding one is one file beside these and one line here."""

from __future__ import annotations

from shared.llm.providers.anthropic import AnthropicModel
from shared.llm.providers.base import ModelSpec
from shared.llm.providers.ensemble import EnsembleModel
from shared.llm.providers.openai import OpenAIModel
from shared.llm.providers.recorded import RecordedModel
from shared.llm.providers.reward_model import RewardModel
from shared.llm.providers.similarity import SimilarityModel
from shared.llm.providers.simulated import SimulatedModel
from shared.llm.providers.tgi import TGIModel
from shared.llm.providers.verifiable import VerifiableModel

PROVIDERS: dict[str, type[ModelSpec]] = {
    model.provider_name(): model
    for model in (
        OpenAIModel,
        AnthropicModel,
        TGIModel,
        RecordedModel,
        SimulatedModel,
        SimilarityModel,
        EnsembleModel,
        VerifiableModel,
        RewardModel,
    )
}

__all__ = ["PROVIDERS", "ModelSpec"]
