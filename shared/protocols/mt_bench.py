"""MT-Bench (Zheng et al. 2023, arXiv 2306.05685): two turns, each answer rated 1 to 10 by a judge, by category.

Scores stay on the published scale of 1 to 10 (unit `points of 10`): so they can be laid beside published ones, and
`worth: {points: …}`, which is of percent, is refused for them in favour of `worth: {score: …}`.

Unlike FastChat, which samples some categories at temperature 0.7 and others at 0 or 0.1, all are sampled at the
evaluation's temperature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from shared import records
from shared.asking.turns import TURNS, Conversation, Ratings, TurnsAsk
from shared.errors import FieldError
from shared.llm.providers import ModelSpec
from shared.llm.providers.base import Sha256, dataset_name
from shared.protocols.base import Builder, JudgedArm
from shared.protocols.sampled import Sampled
from shared.scales import OF_TEN
from shared.spec.base import DatasetName
from shared.spec.names import one_of

ADD = "touchstone dataset add mt-bench.jsonl --name mt-bench"
"""What `examples/mt_bench.py` makes of MT-Bench's own files can be added so."""


class MtBench(Sampled):
    """`protocol: mt_bench`. A prompt's score is the mean of its two turns' ratings, as MT-Bench has it; a prompt of
    which one rating cannot be read is invalid."""

    protocol: Literal["mt_bench"]
    judge: str = Field(description="a name under `models` that can be asked over HTTP")
    questions: DatasetName | None = Field(
        None,
        description="dataset:NAME with columns prompt_id, turns, category and, where there are right answers, "
        "reference; None: the experiment's own eval prompts, if they have these columns",
    )
    pinned: Sha256 | None = Field(None, description="the dataset's content hash; filled in when the spec is resolved")
    unit: ClassVar[str] = OF_TEN
    dataset_field: ClassVar[str] = "questions"
    dataset_kind: ClassVar[Literal["prompts", "completions"]] = "prompts"

    @model_validator(mode="after")
    def _nothing_to_choose_on(self) -> Self:
        if self.best_on_dev and self.questions is not None:
            raise ValueError(
                "has no dev prompts among questions of its own, and none may be chosen on them; remove `best_on_dev`"
            )
        return self

    def models(self) -> Mapping[str, str]:
        return {"judge": self.judge}

    @property
    def dataset(self) -> str | None:
        return None if self.questions is None else dataset_name(self.questions)

    @property
    def judges_completions(self) -> bool:
        """Whoever wrote the first answers is asked again, with them before: recorded ones have no second turn."""
        return False

    def model_errors(self, models: Mapping[str, ModelSpec]) -> Iterator[FieldError]:
        if models[self.judge].asks is None:
            fitting = [name for name, one in models.items() if one.asks is not None]
            problem = f"{self.judge} (provider {models[self.judge].provider}) rates no conversations"
            yield FieldError("judge", problem, one_of(fitting))

    def data_errors(
        self, prompts: Sequence[tuple[str, str]], source: pa.Table | None, own: pa.Table | None
    ) -> Iterator[FieldError]:
        field = "questions"
        table = source if own is None else own
        missing = [name for name in ("turns", "category") if table is None or name not in table.column_names]
        if table is None or missing:
            what = "the experiment's prompts have" if own is None else f"dataset {self.dataset!r} has"
            fix = f"Name a dataset with columns prompt_id, turns, category: {ADD}, then `questions: dataset:mt-bench`."
            yield FieldError(field, f"{what} no column {' and '.join(missing)}", fix)
            return
        wanted = {prompt_id for prompt_id, _ in prompts} if own is None else set(table["prompt_id"].to_pylist())
        for row in table.to_pylist():
            if row["prompt_id"] in wanted and (wrong := _wrong(row)):
                yield FieldError(field, f"prompt {row['prompt_id']} {wrong[0]}", wrong[1])
                return

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        assert temperature is not None
        prompts = build.prompts if self.dataset is None else build.questions(self.dataset)
        first = build.samples(arm, temperature, prompts)
        second = build.second_turn(arm, temperature, first, prompts)
        inputs = {"samples": first, "second": second, "prompts": prompts}
        return build.judge("mt_bench", {}, inputs, self.judge, ask=TurnsAsk())

    @classmethod
    def conversations(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any]) -> list[Conversation]:
        prompts = {row["prompt_id"]: row for row in tables["prompts"].to_pylist()}
        second = {row["prompt_id"]: row["completion"] for row in tables["second"].to_pylist()}
        return [
            Conversation(
                row["prompt_id"],
                _two(prompts[row["prompt_id"]]["turns"]),
                (row["completion"], second[row["prompt_id"]]),
                _two(references) if (references := prompts[row["prompt_id"]].get("reference")) else None,
            )
            for row in tables["samples"].to_pylist()
        ]

    @classmethod
    def rated_rows(
        cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], ratings: Sequence[Ratings]
    ) -> pa.Table:
        category = {row["prompt_id"]: row["category"] for row in tables["prompts"].to_pylist()}
        rows = [
            _row(one, rated, category[one.prompt_id])
            for one, rated in zip(cls.conversations(tables, params), ratings, strict=True)
        ]
        return records.from_rows(rows, records.TURNS)


def _row(one: Conversation, rated: Ratings, category: str) -> dict[str, Any]:
    given = [score for score in rated.scores if score is not None]
    valid = len(given) == TURNS
    return {
        "prompt_id": one.prompt_id,
        "score": sum(given) / TURNS if valid else None,
        "valid": valid,
        "completion": one.answers[0],
        "category": category,
        "question_2": one.questions[1],
        "completion_2": one.answers[1],
        "score_1": rated.scores[0],
        "score_2": rated.scores[1],
        "raw_1": rated.words[0],
        "raw_2": rated.words[1],
    }


def _wrong(row: Mapping[str, Any]) -> tuple[str, str] | None:
    """Why a row is no question of MT-Bench's, and what to do."""
    if len(row["turns"] or ()) != TURNS:
        return f"has {len(row['turns'] or ())} turns, and MT-Bench asks {TURNS}", "Give a list of two texts."
    if not row["category"]:
        return "has no category", "Give each prompt one."
    if row.get("reference") and len(row["reference"]) != TURNS:
        return f"has {len(row['reference'])} reference answers for {TURNS} turns", "Give one a turn, or none."
    return None


def _two(texts: Sequence[str]) -> tuple[str, str]:
    first, second = texts
    return first, second
