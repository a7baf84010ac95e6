"""Sheets that people vote on and the votes that come back: pure parts."""

from __future__ import annotations

import csv
import io

import pytest

from services.api.sheets import COLUMNS, Pair, as_csv, harmless, in_order
from services.api.votes import Given, read_votes
from shared.errors import BadInput


@pytest.mark.parametrize(
    "cell",
    [
        '=HYPERLINK("http://evil.example";"x")', "+1", "-1+2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1",
        "'=1",
    ],
)  # fmt: skip
def test_no_cell_is_a_formula_and_nothing_of_it_is_lost(cell: str) -> None:
    made = harmless(cell)
    assert made.startswith("'") and made.endswith(cell)
    assert harmless("A plain answer = 3") == "A plain answer = 3"
    (head, row) = csv.reader(
        io.StringIO(as_csv([Pair("r", "p", cell, cell, "right, with\na line")]).decode("utf-8-sig"))
    )
    assert tuple(head) == COLUMNS
    assert row == ["r", made, made, "right, with\na line", "", ""]


def test_the_two_rows_of_one_prompt_lie_apart_and_all_are_there() -> None:
    prompts = [[Pair(f"{arm}-{place}", f"p{place}", "", "", "") for arm in "ab"] for place in range(25)]
    prompts[3] = prompts[3][:1]
    found = in_order(prompts)
    assert sorted(pair.row for pair in found) == sorted(pair.row for pairs in prompts for pair in pairs)
    places: dict[str, list[int]] = {}
    for place, pair in enumerate(found):
        places.setdefault(pair.prompt_id, []).append(place)
    assert all(abs(one[0] - one[-1]) >= 5 for one in places.values() if len(one) == 2)


def read(text: str, rater: str = "") -> list[Given]:
    return read_votes(text.encode(), "text/csv", rater)


def test_a_filled_in_sheet_is_read_whatever_a_spreadsheet_made_of_it() -> None:
    plain = 'row,prompt,left,right,vote,rater\nr1,"a\nb",x,y,left,Ann\nr2,p,x,y,,\nr3,p,x,y, TIE ,\n'
    found = read(plain, "Bob")
    assert [(one.row, one.vote, one.rater) for one in found] == [("r1", "left", "Ann"), ("r3", "TIE", "Bob")]
    assert [one.where for one in found] == ["line 2", "line 5"], "a cell of two lines is one row"
    for other in (plain.replace(",", ";"), plain.replace(",", "\t"), "\ufeff" + plain.replace("\n", "\r\n")):
        assert [(one.row, one.rater) for one in read(other, "Bob")] == [("r1", "Ann"), ("r3", "Bob")]
    assert read("Vote,Row\nleft,r1\n")[0].row == "r1"


@pytest.mark.parametrize(
    ("text", "field", "says"),
    [
        ("prompt,vote\np,left\n", "line 1", "no column row"),
        ("row,prompt\nr,p\n", "line 1", "no column vote"),
        ("", "line 1", "no column"),
        ("row,vote\nr,\n", "votes", "every vote is empty"),
        ('row,vote\nr1,left\n"r2,left\n', "line 3", "cannot be read as CSV"),
    ],
)
def test_what_is_no_sheet_is_refused_by_its_line(text: str, field: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as refused:
        read(text)
    assert refused.value.field == field


def test_other_encodings_and_other_json_are_refused() -> None:
    with pytest.raises(BadInput, match="CSV UTF-8"):
        read_votes("row,vote\nr,left ü".encode("latin-1"), "text/csv", "")
    for body in ("[", "[]", '{"votes": 3}', '{"votes": []}', "[" * 100_000):
        with pytest.raises(BadInput) as refused:
            read_votes(body.encode(), "application/json", "Ann")
        assert refused.value.field == "votes"
    (odd,) = read_votes(b'{"rater": "Ann", "votes": [{"row": 3, "vote": ["left"]}]}', "application/json", "")
    assert (odd.row, odd.vote, odd.rater, odd.where) == ("", "", "Ann", "votes.0")
