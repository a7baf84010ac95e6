"""The embedded engine serves an adapter by merging it into its base."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from services.inference.embedded.checkpoint import load
from tests.unit.inference.tiny_models import byte_tokenizer, save, tiny_llama


# peft asks for a property that transformers calls by another name now.
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing:FutureWarning")
def test_an_adapter_is_merged_and_brings_its_own_template(tmp_path: Path) -> None:
    base, tokenizer = tiny_llama(byte_tokenizer()), byte_tokenizer(None)
    save(tmp_path / "base", base, tokenizer)
    torch.manual_seed(3)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
    adapted = get_peft_model(base, config).eval()
    adapted.save_pretrained(tmp_path / "adapter")
    byte_tokenizer("{{ messages[0]['content'] }}").save_pretrained(tmp_path / "adapter")
    given = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        wanted = adapted(given).logits
        plain = load(tmp_path / "base", "m", "float32").model(given).logits
        merged = load(tmp_path / "base", "m", "float32", adapter=tmp_path / "adapter")
        found = merged.model(given).logits
    assert torch.allclose(found, wanted, atol=1e-5)
    assert not torch.allclose(found, plain, atol=1e-3)
    assert merged.decode(merged.render([{"role": "user", "content": "hi"}])) == "hi"
