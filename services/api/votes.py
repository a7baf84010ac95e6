"""Votes as people send them, CSV or JSON: read, checked, and every mistake named by its line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, get_args

from services.api.sheets import Sheets
from shared.errors import BadInput, BadInputs, FieldError
from shared.human import VOTES, Cast, Vote

MOST = 20_000
MOST_ERRORS = 50
LONGEST_NAME = 60
# A completion may be longer than the csv module expects a cell to be. The limit is the whole process's.
csv.field_size_limit(2**31 - 1)
RATER_FIX = f"Give a name of 1 to {LONGEST_NAME} characters that can be seen."


@dataclass(frozen=True)
class Given:
    """A vote as it was sent; `where` says where it stands in what was sent: `line 14`, `votes.3`."""

    where: str
    row: str
    vote: str
    rater: str


def read_votes(body: bytes, kind: str, rater: str) -> list[Given]:
    """Votes of a body: JSON `{rater, votes: [{row, vote, rater}]}` by that content type, else CSV.

    `rater` is whose they are that do not say so themselves. Raises `BadInput` where it is neither, or holds no vote.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput("votes", f"are not UTF-8 (byte {error.start})", "Save the sheet as CSV UTF-8.") from None
    found = list(_json(text, rater) if "json" in kind else _csv(text, rater))
    if not found:
        raise BadInput("votes", "are none: every vote is empty", f"Write {', '.join(VOTES)} in the column vote.")
    if len(found) > MOST:
        raise BadInput("votes", f"are {len(found):,}, and {MOST:,} at once are the most", "Send them in parts.")
    return found


def _csv(text: str, rater: str) -> Iterator[Given]:
    """Rows whose vote is empty are not voted on yet. Columns besides row, vote and rater are not looked at."""
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    names = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
    for column in ("row", "vote"):
        if column not in names:
            raise BadInput("line 1", f"has no column {column}", "Keep the sheet's first line: row, …, vote, rater.")
    begins = reader.line_num + 1
    try:
        for line in reader:
            row, vote, own = (_cell(line, names.get(name)) for name in ("row", "vote", "rater"))
            if vote:
                yield Given(f"line {begins}", row, vote, own or rater)
            begins = reader.line_num + 1
    except csv.Error as error:
        fix = "Save the sheet as CSV again; a quote within a cell is written twice."
        raise BadInput(f"line {begins}", f"cannot be read as CSV: {error}", fix) from None


def _cell(line: dict[str, Any], name: str | None) -> str:
    value = None if name is None else line.get(name)
    return value.strip() if isinstance(value, str) else ""


def _json(text: str, rater: str) -> Iterator[Given]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("votes", f"are not JSON: {error}", "Send {rater, votes: [{row, vote}]}.") from None
    votes = data.get("votes") if isinstance(data, dict) else None
    if not isinstance(votes, list):
        raise BadInput("votes", "is no list", "Send {rater, votes: [{row, vote}]}.")
    whose = data.get("rater", rater)
    for place, one in enumerate(votes):
        fields = one if isinstance(one, dict) else {}
        row, vote, own = (fields.get(name, usual) for name, usual in (("row", ""), ("vote", ""), ("rater", whose)))
        yield Given(f"votes.{place}", *(value if isinstance(value, str) else "" for value in (row, vote, own)))


def cast(given: Sequence[Given], id: str, sheets: Sheets) -> list[Cast]:
    """The votes on an experiment's rows.

    Raises:
        BadInputs: one error for each mistake; nothing is kept then.
    """
    known = sheets.find(id, {one.row for one in given})
    now = datetime.now(UTC).isoformat()
    errors: list[FieldError] = []
    first: dict[tuple[str, str], str] = {}
    made: list[Cast] = []
    for one in given:
        rater = one.rater.strip()
        if wrong := list(_wrong(one, rater, one.row in known, first.get((rater, one.row)))):
            errors += wrong
            continue
        first[rater, one.row] = one.where
        row = known[one.row]
        vote = _vote(one.vote)
        assert vote is not None
        made.append(Cast(one.row, rater, vote, row.shown.prefers(vote), row.sheet, row.prompt_id, now))
    if errors:
        if len(errors) > MOST_ERRORS:
            more = len(errors) - MOST_ERRORS
            errors = [*errors[:MOST_ERRORS], FieldError("votes", f"have {more:,} mistakes more", "Mend these first.")]
        raise BadInputs(errors)
    return made


def _wrong(one: Given, rater: str, known: bool, before: str | None) -> Iterator[FieldError]:
    if not known:
        fix = "Keep the column row as the sheet has it, and import into the experiment that the sheet is of."
        yield FieldError(f"{one.where}.row", f"{one.row[:80]!r} is no row of this experiment's sheets", fix)
    if _vote(one.vote) is None:
        yield FieldError(f"{one.where}.vote", f"{one.vote[:80]!r} is no vote", f"Write {', '.join(VOTES[:-1])} or tie.")
    if not rater or len(rater) > LONGEST_NAME or not rater.isprintable():
        problem = "is missing" if not rater else f"{rater[:80]!r} is no name"
        yield FieldError(f"{one.where}.rater", problem, RATER_FIX)
    if before is not None:
        yield FieldError(f"{one.where}.row", f"{rater} voted on it in {before} too", "Keep one of the two.")


def _vote(text: str) -> Vote | None:
    word = text.strip().lower()
    return next((vote for vote in get_args(Vote) if vote == word), None)
