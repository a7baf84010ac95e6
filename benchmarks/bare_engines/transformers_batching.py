"""transformers' own continuous batching: `model.generate_batch` over a paged cache."""

# mypy: ignore-errors
from __future__ import annotations

from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, ContinuousBatchingConfig, GenerationConfig

PAGES = {"page_size": 32, "num_blocks": 256, "max_batch_tokens": 2048, "allow_block_sharing": False}


def load(folder: Path, dtype: str):
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation="paged|sdpa").eval()
    batching = ContinuousBatchingConfig(**PAGES)

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        config = GenerationConfig(
            do_sample=True, temperature=1.0, top_k=0, max_new_tokens=tokens, eos_token_id=-1, pad_token_id=0
        )
        made = model.generate_batch(
            prompts, generation_config=config, continuous_batching_config=batching, persistent_manager=True
        )
        return [len(one.generated_tokens) for one in made.values()]

    return sample
