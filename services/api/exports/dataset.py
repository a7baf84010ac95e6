"""The rows of an arm's trainings as a dataset folder: Parquet under `data/`, and a card whose `configs` name it."""

from __future__ import annotations

from collections.abc import Sequence

from services.api.exports.markdown import LICENCE, LICENCE_WORDS, code, front_matter, table, text
from services.api.exports.rows import Rows
from shared import records

FOLDER = "dataset"
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))

LOADING = """```python
from datasets import load_dataset

rows = load_dataset("FOLDER_OR_REPOSITORY", "{config}", split="train")
```"""


def dataset_files(experiment: str, arm: str, seed: int, steps: Sequence[Rows]) -> dict[str, bytes]:
    """The folder's files by their paths; none where no step was given rows."""
    if not steps:
        return {}
    files = {f"{FOLDER}/{path(one.step)}": records.to_bytes(one.table) for one in steps}
    return {f"{FOLDER}/README.md": _card(experiment, arm, seed, steps).encode(), **files}


def path(step: str) -> str:
    """Where a step's rows lie in the folder."""
    return f"data/{step}/train-00000-of-00001.parquet"


def _card(experiment: str, arm: str, seed: int, steps: Sequence[Rows]) -> str:
    last = steps[-1].step
    configs = [
        {
            "config_name": one.step,
            "data_files": [{"split": "train", "path": path(one.step)}],
            **({"default": True} if one.step == last else {}),
        }
        for one in steps
    ]
    rows = sum(one.table.num_rows for one in steps)
    size = next((words for most, words in SIZES if rows < most), "1M<n<10M")
    head = {**LICENCE, "task_categories": ["text-generation"], "size_categories": [size], "tags": ["touchstone", "trl"]}
    described = table(
        ["config", "rows", "columns", "TRL's format"],
        (
            [one.step, f"{one.table.num_rows:,}", ", ".join(one.table.column_names), f"conversational {one.format}"]
            for one in steps
        ),
    )
    return "\n\n".join(
        [
            front_matter({**head, "configs": configs}).rstrip(),
            f"# What {text(arm)} of {text(experiment)} was trained on",
            f"The rows of every training step of the arm {code(arm)}, seed {seed}, of the Touchstone experiment "
            f"{code(experiment)}, as TRL was given them: without empty completions, and without pairs of which neither "
            "is better. Prompts are the experiment's train prompts, completions a teacher's or the policy's own, and "
            "what is chosen is what the critic preferred; the model's card names them.",
            described,
            LOADING.format(config=last),
            LICENCE_WORDS,
            "",
        ]
    )
