"""A stage's reference log-probabilities beside their pairs, and TRL's trainers that take them. No torch.

The rows of `reference` name the row of the labelled pairs, so that a control may exchange a pair's completions, or
leave pairs out, and share the stage all the same.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from shared import records
from shared.errors import PermanentError, StageError
from shared.methods import SHARED_REFERENCE
from workers.trainer.job import Job

FILE = "reference.parquet"
COLUMNS = tuple(records.REFERENCES.names[2:])
"""What a pair is given."""
COMPUTES = "_precompute_ref_logps"
"""The method with which TRL's trainers compute the reference, and which adds its columns."""
NONE = {"once": 0.0, "every_epoch": 0.0}
"""The forward passes of a reference in a training that is given its log-probabilities."""
FIELD = f"rl.args.{SHARED_REFERENCE}"


def numbered(pairs: pa.Table) -> pa.Table:
    """PREFERENCES with the number of each row."""
    return pairs.append_column("row", pa.array(range(len(pairs)), pa.int32()))


def joined(pairs: pa.Table, reference: pa.Table) -> pa.Table:
    """PREFERENCES with the columns of REFERENCES beside each pair; null where there are none.

    Raises:
        StageError: the reference is of other pairs.
    """
    found = {row["row"]: row for row in reference.to_pylist()}
    ids = pairs["prompt_id"].to_pylist()
    if any(not row < len(ids) or ids[row] != one["prompt_id"] for row, one in found.items()):
        raise StageError("reference: its rows are of other pairs than those of preferences")
    for name in COLUMNS:
        values = [found[row][name] if row in found else None for row in range(len(ids))]
        pairs = pairs.append_column(name, pa.array(values, records.REFERENCES.field(name).type))
    return pairs


def adapted(trainer: type[Any], job: Job) -> type[Any]:
    """TRL's trainer class, which computes no reference where the rows have one, or the job is to compute it.

    Raises:
        PermanentError: the installed TRL has another way to compute it.
    """
    if job.reference == "own":
        return trainer
    if not hasattr(trainer, COMPUTES):
        raise PermanentError(f"{FIELD}: the installed TRL computes the reference otherwise; remove it")
    return type(trainer.__name__, (trainer,), {COMPUTES: lambda self, dataset, *_: dataset})


def check_tokens(given: list[int | None], own: list[int]) -> None:
    """Whether the reference is of the very tokens that the training makes of each completion.

    Raises:
        PermanentError: it is not.
    """
    if (without := sum(count is None for count in given)) > 0:
        raise PermanentError(f"reference: {without} of {len(own)} completions have no log-probability; remove {FIELD}")
    if (other := sum(a != b for a, b in zip(given, own, strict=True))) > 0:
        raise PermanentError(
            f"reference: of {other} of {len(own)} completions it saw another number of tokens than this method does; "
            f"remove {FIELD}"
        )
