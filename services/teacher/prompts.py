"""The `prompts` stage: the experiment's prompts in their splits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from shared import records
from shared.artifacts import StageResult
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.splits import SPLITS, Splits, split_prompts
from shared.store import ObjectStore
from shared.world.prompts import make_prompts


def prompts(ctx: StageContext) -> StageResult:
    """Write prompts.parquet (PROMPTS); the metrics count each split and the near-duplicates."""
    splits = splits_of(ctx.store, ctx.unit.params)
    rows = [asdict(prompt) for prompt in splits.prompts]
    counts = {split: splits.count(split) for split in SPLITS}
    table = records.from_rows(rows, records.PROMPTS)
    if "dataset" in ctx.unit.params["source"]:
        table = with_more(table, read_dataset(ctx.store, ctx.unit.params["source"]["dataset"]))
    return StageResult({"prompts.parquet": table}, {**counts, "near_duplicates": splits.near_duplicates})


def with_more(prompts: pa.Table, dataset: pa.Table) -> pa.Table:
    """The prompts with the further columns that their dataset has (MORE_OF_PROMPTS)."""
    place = {prompt_id: row for row, prompt_id in enumerate(dataset["prompt_id"].to_pylist())}
    rows = pa.array([place[prompt_id] for prompt_id in prompts["prompt_id"].to_pylist()], pa.int64())
    for column in records.MORE_OF_PROMPTS:
        if column.name in dataset.column_names:
            prompts = prompts.append_column(column, dataset[column.name].take(rows).cast(column.type))
    return prompts


def splits_of(store: ObjectStore, params: Mapping[str, Any]) -> Splits:
    """The splits that the stage's params ask for."""
    sizes = {split: int(params[split]) for split in SPLITS}
    source = params["source"]
    if "world" in source:
        pool = make_prompts(int(source["world"]["count"]), int(source["world"]["seed"]))
        return split_prompts([(prompt.prompt_id, prompt.text) for prompt in pool], sizes, exact=True)
    table = read_dataset(store, source["dataset"])
    pairs = zip(table["prompt_id"].to_pylist(), table["prompt"].to_pylist(), strict=True)
    return split_prompts(list(pairs), sizes)
