"""CTranslate2's generator. FOLDER is what `ct2-transformers-converter` made."""

# mypy: ignore-errors
from __future__ import annotations

import json
from pathlib import Path

import ctranslate2


def load(folder: Path, dtype: str):
    generator = ctranslate2.Generator(str(folder), device="cpu", compute_type=dtype, intra_threads=1, inter_threads=1)
    names = json.loads((folder / "vocabulary.json").read_text())

    def sample(prompts: list[list[int]], tokens: int) -> list[int]:
        texts = [[names[token] for token in prompt] for prompt in prompts]
        made = generator.generate_batch(
            texts, max_length=tokens, min_length=tokens, sampling_topk=0, sampling_temperature=1.0,
            include_prompt_in_result=False,
        )  # fmt: skip
        return [len(one.sequences_ids[0]) for one in made]

    return sample
