"""The share that is right: a check scores every completion against what is known of its prompt. Nobody is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from shared import records
from shared.checks import CHECKS
from shared.checks.base import Checked
from shared.checks.settings import check_settings, needs_answers
from shared.errors import BadInput, FieldError
from shared.llm.providers.base import Sha256, dataset_name
from shared.plan.comparisons import Verdicts
from shared.protocols.base import Builder, JudgedArm
from shared.protocols.sampled import Sampled
from shared.spec.base import DatasetName

LEAST = 2
"""Prompts with a right answer: from fewer nothing can be estimated."""


class Verifiable(Sampled):
    """`protocol: verifiable`. The score is 100 times the check's, which is 1 for right, 0 for wrong, or a share.

    A prompt without a right answer is invalid for every arm alike. It is no imitation: an answer is right whoever gave
    it.
    """

    protocol: Literal["verifiable"]
    check: str = Field(description=f"one of {', '.join(CHECKS)}")
    answers: DatasetName | None = Field(
        None,
        description="dataset:NAME with columns prompt_id, completion: the right answers; None: the column `reference` "
        "of the prompts' dataset",
    )
    pattern: str | None = Field(
        None, min_length=1, description="regex: what must be found; {answer} stands for the right answer"
    )
    pinned: Sha256 | None = Field(None, description="the dataset's content hash; filled in when the spec is resolved")
    dataset_field: ClassVar[str] = "answers"

    @model_validator(mode="after")
    def _complete(self) -> Self:
        check_settings(self.check, self.pattern)
        if self.answers is not None and not self._by_answer:
            raise ValueError(f"check {self.check} looks at no right answer; remove `answers`")
        return self

    @property
    def _by_answer(self) -> bool:
        return needs_answers(self.check, self.pattern)

    @property
    def method(self) -> str:
        return f"check: {self.check}"

    @property
    def dataset(self) -> str | None:
        return None if self.answers is None else dataset_name(self.answers)

    def data_errors(
        self, prompts: Sequence[tuple[str, str]], source: pa.Table | None, own: pa.Table | None
    ) -> Iterator[FieldError]:
        if not self._by_answer:
            yield from self._foreign(prompts)
            return
        if own is None and (source is None or "reference" not in source.column_names):
            fix = "Write `answers: dataset:NAME`, or add the prompts' dataset again with a column `reference`."
            yield FieldError("answers", f"check {self.check} needs the right answers, and there are none", fix)
            return
        known = _answers({"answers": own} if own is not None else {"prompts": source})
        if sum(prompt_id in known for prompt_id, _ in prompts) < LEAST:
            fix = "Its prompt_id column must hold the ids of prompts.source."
            yield FieldError("answers", f"fewer than {LEAST} of the eval prompts have a right answer", fix)

    def _foreign(self, prompts: Sequence[tuple[str, str]]) -> Iterator[FieldError]:
        """A check that knows the answers itself must know these prompts."""
        for _, text in prompts[:1]:
            try:
                CHECKS[self.check].score(Checked(text, "", None, self.pattern))
            except BadInput as error:
                yield FieldError("check", f"{self.check} cannot check these prompts: {error.problem}", error.fix)

    def plan(self, build: Builder, arm: JudgedArm, temperature: float | None) -> str:
        assert temperature is not None
        params: dict[str, Any] = {"check": self.check, **({"pattern": self.pattern} if self.pattern else {})}
        inputs = {"samples": build.samples(arm, temperature)}
        if self.answers is not None:
            params["answers"] = self.pinned or self.answers
        elif self._by_answer:
            inputs["prompts"] = build.prompts
        return build.judge("verifiable", params, inputs, None)

    @classmethod
    def rows(cls, tables: Mapping[str, pa.Table], params: Mapping[str, Any], verdicts: Sequence[Verdicts]) -> pa.Table:
        check, pattern = CHECKS[params["check"]], params.get("pattern")
        answers = _answers(tables) if needs_answers(params["check"], pattern) else None
        rows = []
        for row in tables["samples"].to_pylist():
            answer = None if answers is None else answers.get(row["prompt_id"])
            known = answers is None or answer is not None
            checked = Checked(row["prompt"], row["completion"], answer, pattern)
            rows.append(
                {
                    "prompt_id": row["prompt_id"],
                    "score": 100.0 * check.score(checked) if known else None,
                    "valid": known,
                    "completion": row["completion"],
                    "reference": answer,
                }
            )
        return records.from_rows(rows, records.JUDGEMENTS)


def _answers(tables: Mapping[str, Any]) -> dict[str, str]:
    """The right answers by prompt: of a dataset of them, or else the first of the prompts' `reference`."""
    if "answers" in tables:
        return dict(zip(*(tables["answers"][name].to_pylist() for name in ("prompt_id", "completion")), strict=True))
    ids, given = (tables["prompts"][name].to_pylist() for name in ("prompt_id", "reference"))
    return {prompt_id: texts[0] for prompt_id, texts in zip(ids, given, strict=True) if texts}
