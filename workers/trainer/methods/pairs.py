"""The rows of every method that trains on preference pairs."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Sequence
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import PermanentError
from workers.trainer.job import Job
from workers.trainer.methods.base import Method, turn
from workers.trainer.references import COLUMNS

USED = ["prompt_id", "prompt", "chosen", "rejected", "dropped"]
BESIDE = frozenset({"row", *COLUMNS})
"""What some tables have besides, for the methods that know of it."""


class Pairs(Method):
    """A method on rows of prompt, chosen and rejected, from an SFT start."""

    tables: ClassVar[str] = "preferences"
    model: ClassVar[str] = "start"

    def rows(self, tables: Sequence[pa.Table]) -> pa.Table:
        beside = [name for name in tables[0].column_names if name in BESIDE]
        table = pa.concat_tables([table.select([*USED, *beside]) for table in tables])
        pairs = table.filter(pc.is_valid(table["chosen"]))
        if not pairs.num_rows:
            why = Counter(table["dropped"].to_pylist()).most_common(3)
            reasons = ", ".join(f"{reason or 'no reason given'}: {count}" for reason, count in why)
            raise PermanentError(f"preferences: none of {table.num_rows} rows makes a training pair ({reasons})")
        for row in pairs.select(["prompt_id", "prompt", "rejected"]).to_pylist():
            for name in ("prompt", "rejected"):
                if row[name] is None:
                    raise PermanentError(f"preferences: prompt_id {row['prompt_id']!r} has chosen but no {name}")
        named = ["prompt_id"] if "row" in beside else []
        return pairs.select(["prompt", "chosen", "rejected", *named, *beside])

    def example(self, row: dict[str, Any]) -> dict[str, Any]:
        answers = {name: turn("assistant", row[name]) for name in ("chosen", "rejected")}
        return {"prompt": turn("user", row["prompt"]), **answers}

    def arguments(self, job: Job) -> dict[str, Any]:
        return {} if job.beta is None else {"beta": job.beta}

    @abstractmethod
    def evidence(self, trainer: Any, job: Job, rows: Any) -> dict[str, Any]: ...
