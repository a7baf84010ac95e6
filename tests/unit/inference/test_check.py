"""The engine's check of itself, in bfloat16 too: a real model of thirty layers passes, a wrong cache does not."""

from __future__ import annotations

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.decoder import Decoder
from shared.errors import PermanentError

DEEP = LlamaConfig(
    vocab_size=200,
    hidden_size=64,
    intermediate_size=128,
    num_hidden_layers=30,
    num_attention_heads=4,
    num_key_value_heads=2,
    initializer_range=0.3,
)


def decoder(dtype: torch.dtype) -> Decoder:
    torch.manual_seed(0)
    model = LlamaForCausalLM(DEEP).to(dtype).eval()
    return Decoder(Checkpoint("deep", model, None, frozenset(), 64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_deep_model_with_large_weights_is_served(dtype: torch.dtype) -> None:
    decoder(dtype).check()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_cache_that_forgets_is_not(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful = Decoder.step
    monkeypatch.setattr(Decoder, "step", lambda self, tokens, positions: forgetful(self, tokens, [0] * len(positions)))
    with pytest.raises(PermanentError, match="agree"):
        decoder(dtype).check()


def test_the_model_itself_is_left_in_its_own_precision() -> None:
    made = decoder(torch.bfloat16)
    made.check()
    assert made.checkpoint.model.dtype == torch.bfloat16
