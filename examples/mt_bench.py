"""MT-Bench's own files as a dataset for `protocol: mt_bench`, one JSON object a line on standard output.

    python examples/mt_bench.py question.jsonl reference_answer/gpt-4.jsonl > mt-bench.jsonl
    touchstone dataset add mt-bench.jsonl --name mt-bench

Both files are in lm-sys/FastChat (fastchat/llm_judge/data/mt_bench). GPT-4's answers stand as the right ones of math,
reasoning and coding, the categories for which MT-Bench shows its judge a reference; those of others are left out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

WITH_REFERENCE = frozenset({"math", "reasoning", "coding"})
"""FastChat's NEED_REF_CATS."""


def rows(questions: Path, references: Path) -> Iterator[dict[str, Any]]:
    """The questions in their order; `reference` is null where the judge is shown none."""
    known = {one["question_id"]: one["choices"][0]["turns"] for one in read(references)}
    for one in read(questions):
        reference = known.get(one["question_id"]) if one["category"] in WITH_REFERENCE else None
        yield {
            "prompt_id": str(one["question_id"]),
            "turns": one["turns"],
            "category": one["category"],
            "reference": reference,
        }


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def main(words: Sequence[str]) -> int:
    if len(words) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    for row in rows(*map(Path, words)):
        print(json.dumps(row, ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
