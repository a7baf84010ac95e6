"""bespokelabs-curator: its online LLM through the `openai` backend."""

# mypy: ignore-errors
from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

os.environ.setdefault("TELEMETRY_ENABLED", "0")
os.environ.setdefault("CURATOR_DISABLE_RICH_DISPLAY", "1")
os.environ.setdefault("OPENAI_API_KEY", "none")

# It counts tokens by an encoding that it would download; litellm, which it needs, brings that file.
os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(find_spec("litellm").origin).parent / "litellm_core_utils" / "tokenizers")

from bespokelabs import curator
from measured import Asked, main


def _ask(asked: Asked) -> int:
    llm = curator.LLM(
        model_name=asked["model"],
        backend="openai",
        backend_params={
            "base_url": asked["base_url"],
            "max_requests_per_minute": 10_000_000,
            "max_tokens_per_minute": 1_000_000_000,
            "max_concurrent_requests": asked["at_once"],
        },
    )
    return len(llm(asked["prompts"], working_dir=asked["folder"]).dataset)


if __name__ == "__main__":
    main(_ask)
