"""Votes on two arms that the judge compares head to head: one table holds both, and a vote is for whose text it was."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from services.analyst.build import build_report
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from services.analyst.trust import Trust
from services.api.judged_rows import JudgedRows
from services.api.planned import Planned, Plans
from services.api.sheets import Sheets, as_csv
from services.api.votes import cast, read_votes
from shared import records
from shared.errors import BadInput
from shared.human import Ballots, Cast
from shared.spec.parse import parse_spec
from shared.store import ObjectStore
from shared.world.prompts import make_prompts
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

PROMPTS, LIKED = 80, 60
RL, SFT = "rlaif-weak", "sft-strong"
DUEL = {"protocol": "pairwise", "judge": "judge", "between": [RL, SFT], "temperature": 0.7}
ORDERS = {"headline": (RL, SFT), "turned": (SFT, RL)}


@dataclass(frozen=True)
class Voting:
    """The arms of the contrast that decides, a sheet of it as it was filled in, and what came of it."""

    arms: tuple[str, str]
    sheets: Sheets
    sheet: list[dict[str, str]]
    votes: list[Cast]
    trust: Trust


class Known(Plans):
    """The plan of one experiment that nobody submitted."""

    def __init__(self, store: ObjectStore, planned: Planned) -> None:
        super().__init__(store)
        self._planned = planned

    def of(self, id: str) -> Planned | None:
        return self._planned


def spec(contrast: str) -> dict[str, Any]:
    data = quickstart(
        prompts={"source": {"world": {"seed": 0}}, "train": 100, "dev": 10, "eval": PROMPTS},
        evaluations={"duel": DUEL},
        primary={"contrast": contrast, "evaluation": "duel@0.7"},
    )
    return data if contrast == "headline" else data | {"contrasts": {contrast: list(ORDERS[contrast])}}


def judged(folder: Path, contrast: str) -> tuple[Experiment, Sheets]:
    """The judge always prefers the SFT arm's text; every text says whose it is."""
    made = experiment(folder, spec(contrast))
    (prompts,) = made.keys("prompts")
    texts = [
        {"prompt_id": f"p{place:04}", "prompt": one.text, "split": "eval", "rank": place}
        for place, one in enumerate(make_prompts(PROMPTS, 0))
    ]
    made.commit(prompts, {"prompts.parquet": records.from_rows(texts, records.PROMPTS)}, {})
    report = made.plan.stages[made.plan.report]
    (battle,) = report.params["battles"]
    won = "a" if battle["a"] == SFT else "b"
    rows = [
        {
            "prompt_id": f"p{place:04}",
            "score": 100.0 * (won == "a"),
            "valid": True,
            "verdict_ab": won,
            "verdict_ba": won,
        }
        | {"completion": f"{battle['a']} writes {place}", "reference": f"{battle['b']} writes {place}"}
        for place in range(PROMPTS)
    ]
    key = report.inputs[battle["input"]]
    made.commit(key, {"judgements.parquet": records.from_rows(rows, records.JUDGEMENTS)}, {})
    plans = Known(made.store, Planned(parse_spec(spec(contrast)), made.plan))
    return made, Sheets(plans, JudgedRows(made.store, plans))


def votes_for_rl(sheets: Sheets) -> tuple[list[Cast], list[dict[str, str]]]:
    """Somebody prefers the RL arm's text of the first 60 prompts, and the other one's of the rest; by a sheet."""
    pairs = sheets.pairs("x", sheets.chosen("x", "arm", "", "", None), PROMPTS)
    sheet = list(csv.DictReader(io.StringIO(as_csv(pairs).decode("utf-8-sig"))))
    for place, row in enumerate(sheet):
        liked = RL if place < LIKED else SFT
        row["vote"] = "left" if row["left"].startswith(liked) else "right"
    filled = io.StringIO()
    writer = csv.DictWriter(filled, sheet[0])
    writer.writeheader()
    writer.writerows(sheet)
    return cast(read_votes(filled.getvalue().encode(), "text/csv", "Ann"), "x", sheets), sheet


@pytest.fixture(scope="module", params=ORDERS)
def voted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Voting:
    made, sheets = judged(tmp_path_factory.mktemp("cache"), request.param)
    votes, sheet = votes_for_rl(sheets)
    params = ReportParams.model_validate(made.params)
    report = build_report(read_inputs(params, made.artifacts(), Ballots(tuple(votes), 0, ("votes",))))
    assert report.trust is not None
    return Voting(ORDERS[request.param], sheets, sheet, votes, report.trust)


def test_a_vote_is_for_the_arm_that_wrote_the_text_whichever_side_the_judgements_are_written_from(
    voted: Voting,
) -> None:
    assert len(voted.votes) == PROMPTS and {(one.sheet.arm_a, one.sheet.arm_b) for one in voted.votes} == {voted.arms}
    liked = [one.sheet.arm_a if one.prefers == "a" else one.sheet.arm_b for one in voted.votes]
    assert liked == [RL] * LIKED + [SFT] * (PROMPTS - LIKED)
    assert voted.trust.people is not None
    (wins,) = voted.trust.people.wins
    first = voted.arms[0]
    assert (wins.arm, wins.other) == voted.arms
    assert wins.people.value == pytest.approx(0.75 if first == RL else 0.25)
    assert wins.judge.value == (0.0 if first == RL else 1.0)
    agree = voted.trust.people.pooled.judge
    assert agree is not None and agree.agree.value == pytest.approx(0.25)


def test_the_sheet_shows_either_arm_on_either_side_and_names_none(voted: Voting) -> None:
    left = sum(row["left"].startswith(RL) for row in voted.sheet)
    assert PROMPTS / 4 < left < PROMPTS * 3 / 4
    assert not any(arm in row["row"] for row in voted.sheet for arm in (RL, SFT))


def test_such_votes_correct_the_contrast_itself_towards_what_people_say(voted: Voting) -> None:
    rows = {row.sort: row for row in voted.trust.rows}
    sign = 1 if voted.arms[0] == RL else -1
    assert rows["judge"].estimate == -100 * sign, "the judge is wrong everywhere"
    assert rows["people"].gold == PROMPTS and rows["people"].estimate == pytest.approx(50 * sign)
    assert rows["people"].bias == pytest.approx(-150 * sign)
    assert "people_head_to_head" not in rows, "they are in the primary's own points"


def test_head_to_head_there_is_no_reference_to_vote_against(voted: Voting) -> None:
    with pytest.raises(BadInput, match="against each other"):
        voted.sheets.chosen("x", "reference", "", "", None)
