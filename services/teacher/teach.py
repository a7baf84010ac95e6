"""The `teach` stage: a teacher's completions of the prompts of one range of one split, or a null completion of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from shared import records
from shared.artifacts import Cost, StageResult
from shared.context import StageContext
from shared.datasets import read_dataset
from shared.errors import PermanentError
from shared.llm.caller import answer_all
from shared.llm.chat import Answer, user_request
from shared.llm.usage import usage
from shared.llm.worker import endpoint_of_unit, origin_of, session_of
from shared.splits import rows_of_split
from shared.store import ObjectStore

Rows = Sequence[Mapping[str, Any]]


def teach(ctx: StageContext) -> StageResult:
    """Write demonstrations.parquet (COMPLETIONS), in the order of the prompts' ranks."""
    params = ctx.unit.params
    wanted = rows_of_split(ctx.input("prompts").rows(), params["split"], params["start"], params["stop"])
    rows: Rows = ctx.unit.own(wanted).to_pylist()
    if "text" in params["model"]:
        found = [_row(row, Answer(text=params["model"]["text"], finish_reason="null")) for row in rows]
        result = StageResult({}, {"prompts": len(rows)})
    elif "dataset" in params["model"]:
        found = recorded(ctx.store, params["model"], rows, ctx.unit.options.get("name", ""))
        if params["split"] == "train":
            refuse_empty(found, ctx.unit.options.get("name", ""))
        result = StageResult({}, {"prompts": len(rows), "missing": len(rows) - len(found)})
    else:
        # What an endpoint left empty stays, and is counted; SFT trains on the others.
        found, result = _asked(ctx, rows)
    table = records.from_rows(found, records.COMPLETIONS)
    return StageResult({"demonstrations.parquet": table}, result.metrics, result.cost)


def recorded(store: ObjectStore, model: Mapping[str, Any], rows: Rows, name: str) -> list[dict[str, Any]]:
    """A recorded teacher's completions of `rows`; those it lacks are left out where the spec says `missing: drop`.

    Raises:
        PermanentError: it lacks one, and the spec does not say so.
    """
    table: pa.Table = read_dataset(store, model["dataset"])
    known = dict(zip(table["prompt_id"].to_pylist(), table["completion"].to_pylist(), strict=True))
    missing = [row["prompt_id"] for row in rows if row["prompt_id"] not in known]
    if missing and model["missing"] != "drop":
        raise PermanentError(
            f"models.{name}.completions: no recorded completion for {len(missing)} prompts ({missing[0]} …); write "
            f"`missing: drop` under models.{name} to leave them out"
        )
    return [
        _row(row, Answer(text=known[row["prompt_id"]], finish_reason="recorded"))
        for row in rows
        if row["prompt_id"] in known
    ]


def refuse_empty(rows: Rows, name: str) -> None:
    """A recorded demonstration must say something; a reference may be empty.

    Raises:
        PermanentError: a completion is empty.
    """
    empty = [row["prompt_id"] for row in rows if not row["completion"].strip()]
    if empty:
        raise PermanentError(
            f"models.{name}: its completion for prompt {empty[0]} is empty ({len(empty)} such), and a demonstration "
            f"must say something; take those prompts or rows out of the dataset, and write `missing: drop` under "
            f"models.{name}"
        )


def _asked(ctx: StageContext, rows: Rows) -> tuple[list[dict[str, Any]], StageResult]:
    """An endpoint's completions, through the ledger."""
    model, origin = ctx.unit.params["model"], origin_of(ctx)
    answers = answer_all(
        [user_request(model, row["prompt"]) for row in rows],
        model,
        endpoint_of_unit(ctx),
        session_of(ctx),
        ctx,
        origin,
        label=lambda index: f"prompt {rows[index]['prompt_id']}",
    )
    found = [_row(row, entry.answer) for row, entry in zip(rows, answers.entries, strict=True)]
    return found, StageResult({}, {"prompts": len(rows), **usage(answers, origin)}, Cost(usd=answers.usd()))


def _row(prompt: Mapping[str, Any], answer: Answer) -> dict[str, Any]:
    return {
        "prompt_id": prompt["prompt_id"],
        "sample_index": 0,
        "prompt": prompt["prompt"],
        "completion": answer.text,
        "finish_reason": answer.finish_reason,
        "input_tokens": answer.input_tokens,
        "output_tokens": answer.output_tokens,
    }
