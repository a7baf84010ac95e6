"""Whether the data that evaluations need are there: found out before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from shared.datasets import DatasetInfo, read_dataset
from shared.errors import FieldError
from shared.spec.matrix import cells
from shared.spec.model import Spec
from shared.spec.sweeps import entries_on_dev
from shared.splits import Splits
from shared.store import ObjectStore


def evaluation_data_errors(
    spec: Spec, pins: Mapping[str, DatasetInfo], splits: Splits, store: ObjectStore
) -> Iterator[FieldError]:
    """What the evaluations' own datasets and the eval prompts lack. Raises `PermanentError` where a dataset is gone."""
    given = spec.prompts.source
    source = read_dataset(store, pins[given.removeprefix("dataset:")].sha256) if isinstance(given, str) else None
    on_dev = {entry for cell in cells(spec).values() for entry in entries_on_dev(cell)}
    for name, evaluation in spec.evaluations.items():
        judged = ("eval", "dev") if name in on_dev else ("eval",)
        prompts = [(one.prompt_id, one.prompt) for one in splits.prompts if one.split in judged]
        own = None if evaluation.dataset is None else read_dataset(store, pins[evaluation.dataset].sha256)
        for error in evaluation.data_errors(prompts, source, own):
            yield replace(error, field=f"evaluations.{name}.{error.field}")
