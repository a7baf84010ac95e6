"""onnxruntime-genai's generator. FOLDER is what `python -m onnxruntime_genai.models.builder` made."""

# mypy: ignore-errors
from __future__ import annotations

import json
from pathlib import Path

import numpy
import onnxruntime_genai as og


def load(folder: Path, dtype: str):
    config = og.Config(str(folder))
    config.overlay(json.dumps({"model": {"decoder": {"session_options": {"intra_op_num_threads": 1}}}}))
    model = og.Model(config)

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        longest = max(map(len, prompts))
        params = og.GeneratorParams(model)
        length = longest + tokens
        params.set_search_options(
            do_sample=True, temperature=1.0, top_k=0, top_p=1.0, batch_size=len(prompts), min_length=length,
            max_length=length,
        )  # fmt: skip
        generator = og.Generator(model, params)
        # It pads on the left, as `generate` does.
        padded = numpy.array([[0] * (longest - len(prompt)) + prompt for prompt in prompts], dtype=numpy.int32)
        generator.append_tokens(padded)
        while not generator.is_done():
            generator.generate_next_token()
        return [len(generator.get_sequence(row)) - longest for row in range(len(prompts))]

    return sample
