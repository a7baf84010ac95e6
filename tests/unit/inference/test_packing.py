"""Packed linear layers: the same function, whoever shares a row's batch."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from services.inference.embedded.packing import PackedLinear, pack, supported
from tests.unit.inference.tiny_models import byte_tokenizer, tiny_llama


def test_a_packed_model_computes_what_it_computed_before() -> None:
    model = tiny_llama(byte_tokenizer())
    tokens = torch.tensor([[5, 7, 11, 13], [2, 3, 4, 6]])
    with torch.inference_mode():
        before = model(tokens).logits
        pack(model)
        assert_close(model(tokens).logits, before, rtol=1e-4, atol=1e-4)


def test_a_bfloat16_model_is_left_as_it_is() -> None:
    model = tiny_llama(byte_tokenizer()).bfloat16()
    pack(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())


@pytest.mark.skipif(not supported(), reason="oneDNN's kernels do not run on this machine")
def test_a_layer_whose_rows_depend_on_the_batch_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PackedLinear, "forward", lambda self, rows: rows * len(rows))
    model = tiny_llama(byte_tokenizer())
    pack(model)
    assert not any(isinstance(module, PackedLinear) for module in model.modules())
