"""llama.cpp through the wheel `xllamacpp`: its server in this process. FOLDER is a GGUF file (see gguf_file.py)."""

# mypy: ignore-errors
from __future__ import annotations

from pathlib import Path

import xllamacpp

SLOTS = 16
CONTEXT = 512
PLAIN = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "min_p": 0.0, "samplers": ["temperature"]}


def load(folder: Path, dtype: str):
    params = xllamacpp.CommonParams()
    params.model.path = str(folder)
    params.n_parallel, params.n_ctx = SLOTS, SLOTS * CONTEXT
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1
    params.cont_batching, params.warmup = True, True
    kind = xllamacpp.ggml_type.GGML_TYPE_F32 if dtype == "float32" else xllamacpp.ggml_type.GGML_TYPE_BF16
    params.cache_type_k = params.cache_type_v = kind
    server = xllamacpp.Server(params)

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        asked = {"prompt": prompts, "n_predict": tokens, "ignore_eos": True, "cache_prompt": False, **PLAIN}
        answer = server.handle_completions(asked)
        # Its `usage` counts the first prompt's tokens alone.
        return [tokens if choice["finish_reason"] == "length" else 0 for choice in answer["choices"]]

    return sample
