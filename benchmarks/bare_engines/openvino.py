"""OpenVINO GenAI's continuous batching pipeline. FOLDER is what `optimum-cli export openvino` made."""

# mypy: ignore-errors
from __future__ import annotations

from pathlib import Path

import numpy
import openvino as ov
import openvino_genai

CACHE_GB = 1


def load(folder: Path, dtype: str):
    scheduler = openvino_genai.SchedulerConfig()
    scheduler.cache_size, scheduler.enable_prefix_caching = CACHE_GB, False
    kind = ov.Type.f32 if dtype == "float32" else ov.Type.bf16
    options = {
        "INFERENCE_PRECISION_HINT": kind,
        "KV_CACHE_PRECISION": kind,
        "INFERENCE_NUM_THREADS": 1,
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,
    }
    pipeline = openvino_genai.ContinuousBatchingPipeline(folder, scheduler, "CPU", options, {}, {})

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        config = openvino_genai.GenerationConfig()
        config.do_sample, config.temperature, config.top_k, config.top_p = True, 1.0, 0, 1.0
        config.max_new_tokens, config.ignore_eos = tokens, True
        inputs = [ov.Tensor(numpy.array([prompt], dtype=numpy.int64)) for prompt in prompts]
        made = pipeline.generate(inputs, [config] * len(inputs))
        return [len(one.m_generation_ids[0]) for one in made]

    return sample
