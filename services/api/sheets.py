"""Sheets for people to vote on: which pairs, in which order, on which side; nothing in them names an arm."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from services.api.judged_rows import Choice, JudgedRows
from services.api.planned import Planned, Plans
from services.api.problems import not_found
from shared.errors import BadInput
from shared.human import Sheet, Shown, rank, shown
from shared.plan.evaluated import evaluation_names

Against = Literal["arm", "reference"]
COLUMNS = ("row", "prompt", "left", "right", "vote", "rater")
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What a spreadsheet may take for a formula at the beginning of a cell; the last four are the same in full width."""
APART = 10
"""Against the reference a prompt comes twice, once for each arm: so many prompts lie between."""


@dataclass(frozen=True)
class Pair:
    """One row of a sheet."""

    row: str
    prompt_id: str
    prompt: str
    left: str
    right: str


@dataclass(frozen=True)
class Found:
    """A row that somebody voted on."""

    sheet: Sheet
    shown: Shown
    prompt_id: str


class Sheets:
    """The sheets of experiments, made from committed judgements."""

    def __init__(self, plans: Plans, judged: JudgedRows) -> None:
        self._plans = plans
        self._judged = judged

    def chosen(self, id: str, against: Against, contrast: str, arm: str, seed: int | None) -> list[Sheet]:
        """The sheets that an asker means: a contrast's arms against each other, or each of them against the reference.

        Raises:
            BadInput: a contrast, an arm or a seed that is none.
            Problem: 404 where nothing is judged in it.
        """
        planned, choices = self._judged.choices(id)
        pairs = planned.pairs
        name = contrast or next(
            (one for one in pairs if one.partition(" [")[0] == planned.spec.primary.contrast),
            planned.spec.primary.contrast,
        )
        if name not in pairs:
            raise BadInput("contrast", f"{name!r} is none of this experiment", f"Use one of {', '.join(pairs)}.")
        used = choices.seeds[0] if seed is None else seed
        if used not in choices.seeds:
            raise BadInput("seed", f"{used} is none", f"Use one of {', '.join(map(str, choices.seeds))}.")
        if arm and against == "arm":
            raise BadInput(
                "arm", "is of a sheet against the reference", "Write against=reference too, or name a contrast."
            )
        if arm and arm not in choices.arms:
            raise BadInput("arm", f"{arm!r} is none of this experiment", f"Use one of {', '.join(choices.arms)}.")
        evaluation = planned.spec.primary.evaluation
        if evaluation not in choices.evaluations:
            raise not_found(f"sheet: {evaluation} has completions of several temperatures, and a vote is of one")
        entry = evaluation_names(planned.spec)[evaluation][0]
        if against == "reference" and planned.spec.evaluations[entry].models().get("reference") is None:
            raise BadInput("against", "is reference, and the arms are judged against each other", "Write against=arm.")
        if against == "arm":
            return [Sheet(*pairs[name], evaluation, used)]
        return [Sheet(one, None, evaluation, used) for one in ([arm] if arm else pairs[name])]

    def pairs(self, id: str, sheets: Sequence[Sheet], most: int) -> list[Pair]:
        """The first `most` prompts by hash whose two texts differ, of every sheet.

        Raises:
            Problem: 404 while judgements are not committed, or where they have no completions.
        """
        by_prompt: dict[str, list[Pair]] = {}
        for sheet in sheets:
            table = self._table(id, sheet)
            if table is None:
                raise not_found("judgement yet of everything that this sheet compares")
            code = sheet.code(id)
            for row in table.filter(pc.not_equal(table["winner"], "unjudged")).to_pylist():
                if (pair := _pair(code, sheet, row)) is not None:
                    by_prompt.setdefault(pair.prompt_id, []).append(pair)
        if not by_prompt:
            raise not_found("pair of different completions under the primary evaluation")
        order = sorted(by_prompt, key=rank)[:most]
        return in_order([by_prompt[prompt_id] for prompt_id in order])

    def find(self, id: str, rows: Iterable[str]) -> dict[str, Found]:
        """Those of `rows` that are an experiment's; rows of what is not judged yet are not."""
        wanted: dict[str, set[str]] = {}
        for row in rows:
            wanted.setdefault(row.partition("-")[0], set()).add(row)
        planned, choices = self._judged.choices(id)
        found = {}
        for sheet in every_sheet(planned, choices.seeds):
            code = sheet.code(id)
            if code not in wanted or (table := self._table(id, sheet)) is None:
                continue
            for prompt_id in table["prompt_id"].to_pylist():
                if (one := shown(code, prompt_id)).row in wanted[code]:
                    found[one.row] = Found(sheet, one, prompt_id)
        return found

    def _table(self, id: str, sheet: Sheet) -> pa.Table | None:
        other = sheet.arm_a if sheet.arm_b is None else sheet.arm_b
        return self._judged.rows(id, Choice(sheet.arm_a, other, sheet.evaluation, sheet.seed))


def every_sheet(planned: Planned, seeds: Sequence[int]) -> Iterable[Sheet]:
    """All sheets that can be asked for."""
    evaluation = planned.spec.primary.evaluation
    entry = evaluation_names(planned.spec).get(evaluation)
    referred = entry is not None and planned.spec.evaluations[entry[0]].models().get("reference") is not None
    arms = dict.fromkeys(judged.arm for judged in planned.judged if judged.evaluation == evaluation)
    for seed in seeds:
        yield from (Sheet(a, b, evaluation, seed) for a, b in dict.fromkeys(planned.pairs.values()))
        if referred:
            yield from (Sheet(arm, None, evaluation, seed) for arm in arms)


def _pair(code: str, sheet: Sheet, row: Mapping[str, Any]) -> Pair | None:
    a, b = row["a_completion"], row["reference" if sheet.arm_b is None else "b_completion"]
    if a is None or b is None or a == b:
        return None
    id = row["prompt_id"]
    one = shown(code, id)
    left, right = (b, a) if one.swapped else (a, b)
    return Pair(one.row, id, id if row["prompt"] is None else row["prompt"], left, right)


def in_order(prompts: Sequence[Sequence[Pair]]) -> list[Pair]:
    """One list of the pairs of prompts that have one or two each; the two of one prompt lie apart, their order by hash:
    beside each other they would show which text is in both."""
    found: list[Pair] = []
    for start in range(0, len(prompts), APART):
        block = [sorted(pairs, key=lambda pair: pair.row) for pairs in prompts[start : start + APART]]
        for turn in range(max(map(len, block))):
            found += [pairs[turn] for pairs in block if turn < len(pairs)]
    return found


def as_csv(pairs: Iterable[Pair]) -> bytes:
    """UTF-8 with a byte order mark, which spreadsheets need to see that it is; no cell can be a formula."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for pair in pairs:
        writer.writerow([pair.row, *(harmless(cell) for cell in (pair.prompt, pair.left, pair.right)), "", ""])
    return text.getvalue().encode("utf-8-sig")


def harmless(cell: str) -> str:
    """A cell that a spreadsheet shows as text, whatever it begins with (OWASP: CSV injection)."""
    return f"'{cell}" if cell.startswith(FORMULA) or cell.lstrip().startswith(FORMULA) else cell
