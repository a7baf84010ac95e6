"""distilabel: a pipeline of one TextGeneration step. It asks batch by batch: a batch has what may be asked at once."""

# mypy: ignore-errors
from __future__ import annotations

import sys
from pathlib import Path

# This file has the library's own name.
sys.path.remove(str(Path(__file__).parent))

from distilabel.models import OpenAILLM
from distilabel.pipeline import Pipeline
from distilabel.steps import LoadDataFromDicts
from distilabel.steps.tasks import TextGeneration

sys.path.insert(0, str(Path(__file__).parent))

from measured import Asked, main


def _ask(asked: Asked) -> int:
    with Pipeline(name="calls", cache_dir=asked["folder"]) as pipeline:
        load = LoadDataFromDicts(data=[{"instruction": prompt} for prompt in asked["prompts"]])
        llm = OpenAILLM(model=asked["model"], base_url=asked["base_url"], api_key="none")
        load >> TextGeneration(llm=llm, input_batch_size=asked["at_once"])
    rows = pipeline.run(use_cache=False)["default"]["train"]
    return sum(answer is not None for answer in rows["generation"])


if __name__ == "__main__":
    main(_ask)
