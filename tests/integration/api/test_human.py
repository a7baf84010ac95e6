"""The human check over real HTTP: a finished experiment, sheets, votes, and the report that the analyst makes anew."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from touchstone_client import Client, InvalidInput

from services.api.sheets import COLUMNS
from shared import records
from shared.artifacts import CommitRef, Manifest
from shared.canonical import sha256_hex
from shared.human import votes_prefix
from shared.world.prompts import make_prompts
from tests.integration.api.conftest import Run, command_for, start_api
from tests.stack import Stack
from tests.unit.analyst.fixture import Experiment, experiment, quickstart
from tests.waiting import wait_until

PROMPTS = 120
ARMS = ("rlaif-weak", "sft-strong")
TRUTH = {"provider": "verifiable", "check": "world", "gold": True}


def spec() -> dict[str, Any]:
    """A small one whose primary evaluation has gold labels."""
    data = quickstart(name="voted-on")
    data["prompts"] = {"source": {"world": {"seed": 0}}, "train": 100, "dev": 10, "eval": PROMPTS}
    data["models"] = {**data["models"], "truth": TRUTH}
    win_rate = {**data["evaluations"]["win-rate"], "temperature": 0.7, "gold": {"labels": "truth", "n": 40}}
    return data | {"evaluations": {"win-rate": win_rate}}


def judged(made: Experiment) -> None:
    """Judgements of both arms whose completions differ, and which no spreadsheet should run."""
    report = made.plan.stages[made.plan.report]
    # The conductor counts shards by what this stage has counted.
    (prompts,) = made.keys("prompts")
    texts = [
        {"prompt_id": f"p{place:04}", "prompt": one.text, "split": "eval", "rank": place}
        for place, one in enumerate(make_prompts(PROMPTS, 0))
    ]
    sizes = {"train": 100, "dev": 10, "eval": PROMPTS, "near_duplicates": 0}
    made.commit(prompts, {"prompts.parquet": records.from_rows(texts, records.PROMPTS)}, sizes)
    rows = [(row["arm"], row["input"], 60) for row in report.params["scores"] if row["arm"] in ARMS]
    rows += [(row["arm"], row["input"], 45) for row in report.params["gold"]["scores"]]
    for arm, source, wins in rows:
        rng = np.random.default_rng([wins, *source.encode()])
        table = []
        for place in range(PROMPTS):
            won = bool(rng.random() < wins / 100)
            text = f"=answer {place} {'one' if arm == ARMS[0] else 'two'}" if place % 12 else "the same in both"
            verdict = "a" if won else "b"
            table.append(
                {"prompt_id": f"p{place:04}", "score": 100.0 * won, "valid": True, "completion": text}
                | {"reference": f"reference {place}", "verdict_ab": verdict, "verdict_ba": verdict}
            )
        made.commit(report.inputs[source], {"judgements.parquet": records.from_rows(table, records.JUDGEMENTS)}, {})


def commit_in_turn(stack: Stack, made: Experiment) -> None:
    """Let every commit name those of its inputs: the conductor takes no other."""
    refs: dict[str, CommitRef] = {}
    for key, stage in made.plan.stages.items():
        if key not in made.refs:
            continue
        old = Manifest.from_json(made.store.get(made.refs[key].object))
        new = old.model_copy(update={"inputs": {name: refs[source] for name, source in stage.inputs.items()}})
        stack.store.put(made.refs[key].object, new.to_json())
        refs[key] = CommitRef(key=key, object=made.refs[key].object, sha256=sha256_hex(new.to_json()))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A stack with an analyst, and an experiment all of whose stages but the report were committed before."""
    stack = Stack(tmp_path_factory.mktemp("human"))
    try:
        stack.start_servers()
        made = experiment(tmp_path_factory.mktemp("cache"), spec())
        judged(made)
        for info in made.store.list("stages/"):
            stack.store.put(info.name, made.store.get(info.name))
        commit_in_turn(stack, made)
        start_api(stack)
        stack.start("analyst")
        stack.wait_ready("analyst", 120)
        with Client(stack.api_url) as client:
            id = client.submit(spec())["id"]
            wait_until(lambda: client.get(id)["state"] in {"succeeded", "failed"}, 240, "the report")
            assert client.get(id)["state"] == "succeeded", stack.log("analyst")[-3000:]
        yield stack, id
    finally:
        stack.stop()


@pytest.fixture
def http(finished: tuple[Stack, str]) -> Iterator[httpx.Client]:
    stack, id = finished
    with httpx.Client(base_url=f"{stack.api_url}/v1/experiments/{id}/", timeout=30) as client:
        yield client


@pytest.fixture
def touchstone(finished: tuple[Stack, str]) -> Run:
    return command_for(finished[0].api_url)


def sheet(http: httpx.Client, **params: Any) -> list[dict[str, str]]:
    answer = http.get("human/sheet", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/csv")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


def refused(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 422, answer.text
    return {error["field"]: f"{error['problem']}. {error['fix']}" for error in answer.json()["errors"]}


def objects(stack: Stack, id: str) -> set[str]:
    return {info.name for info in stack.store.list(votes_prefix(id))}


def test_before_anybody_votes_the_report_says_so_and_has_the_gold_row(
    finished: tuple[Stack, str], http: httpx.Client
) -> None:
    with Client(finished[0].api_url) as client:
        found = client.human(finished[1])
    assert (found["votes"], found["included"], found["up_to_date"]) == (0, 0, True)
    rows = found["trust"][""]["rows"]
    assert [row["sort"] for row in rows] == ["judge", "order", "order", "gold"] and rows[-1]["n_gold"] == 40
    page = httpx.get(f"{finished[0].api_url}/experiments/{finished[1]}").text
    assert "How far can the judge be trusted?" in page and "Corrected by truth" in page
    assert "this report includes no votes" in page


def test_a_sheet_is_blinded_safe_and_the_same_for_all(http: httpx.Client) -> None:
    rows = sheet(http, n=60)
    assert len(rows) == 60 and tuple(rows[0]) == COLUMNS and rows == sheet(http, n=60)
    assert rows[:20] == sheet(http, n=20), "fewer prompts are the first of more"
    text = http.get("human/sheet", params={"n": 200}).text
    assert not any(word in text for word in (*ARMS, "rlaif", "sft", "judge"))
    whole = sheet(http, n=200)
    assert len(whole) == PROMPTS - PROMPTS // 12, "what is the same in both is a tie, and nobody is asked"
    assert all(row["left"].startswith("'=answer") and row["vote"] == row["rater"] == "" for row in whole)
    left = sum(row["left"].endswith("one") for row in whole)
    assert 35 < left < 75, "sides are shuffled"
    both = sheet(http, n=15, against="reference")
    assert len(both) == 30 and len({row["row"] for row in both}) == 30
    assert len(sheet(http, n=15, against="reference", arm="sft-strong")) == 15
    as_json = http.get("human/sheet", params={"n": 5}, headers={"Accept": "application/json"}).json()["items"]
    assert [set(row) for row in as_json] == [{"row", "prompt", "left", "right"}] * 5
    for wrong, field in (
        ({"n": 0}, "n"), ({"against": "nobody"}, "against"), ({"contrast": "none"}, "contrast"), ({"seed": 9}, "seed"),
        ({"arm": "none", "against": "reference"}, "arm"), ({"arm": "sft-strong"}, "arm"),
    ):  # fmt: skip
        assert field in refused(http.get("human/sheet", params=wrong)), wrong


def test_votes_that_are_wrong_are_named_by_their_lines_and_none_is_kept(
    finished: tuple[Stack, str], http: httpx.Client
) -> None:
    before = objects(*finished)
    good, other = (row["row"] for row in sheet(http, n=2))
    text = f"row,vote,rater\n{good},left,Ann\nnobody,left,Ann\n{other},lft,Ann\n{good},right,Ann\n{other},tie,\n"
    found = refused(http.post("human/votes", content=text, headers={"Content-Type": "text/csv"}))
    assert set(found) == {"line 3.row", "line 4.vote", "line 5.row", "line 6.rater"}
    assert "no row of this experiment" in found["line 3.row"] and "left, right or tie" in found["line 4.vote"]
    assert "line 2 too" in found["line 5.row"] and "name" in found["line 6.rater"]
    odd = {"rater": "x" * 61, "votes": [{"row": good, "vote": "left"}]}
    assert set(refused(http.post("human/votes", json=odd))) == {"votes.0.rater"}
    assert "votes" in refused(http.post("human/votes", content=b"\xff\xfe"))
    assert objects(*finished) == before


def test_votes_come_back_and_the_report_is_made_anew(
    finished: tuple[Stack, str], http: httpx.Client, touchstone: Run, tmp_path: Path
) -> None:
    stack, id = finished
    first = http.get("report", headers={"Accept": "application/json"}).json()
    committed = {info.name for info in stack.store.list("commits/")}
    out = tmp_path / "sheet.csv"
    done = touchstone("human", "sheet", id, "--n", "40", "-o", str(out))
    assert done.returncode == 0, done.stderr
    rows = list(csv.DictReader(io.StringIO(out.read_bytes().decode("utf-8-sig"))))
    for place, row in enumerate(rows):
        row |= {"vote": "tie" if place % 9 == 0 else "left" if row["left"].endswith("one") else "right"}
    with out.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    done = touchstone("human", "import", id, str(out), "--rater", "Ann")
    assert done.returncode == 0 and "40 votes kept; 40 in all" in done.stdout, done.stderr
    # Somebody else, over the API, against the reference too; and Ann changes her mind once.
    both = [{"row": row["row"], "vote": "left"} for row in sheet(http, n=20, against="reference")]
    with Client(stack.api_url) as client:
        assert client.add_votes(id, both, "Bob")["votes"] == 80
        changed = client.add_votes(id, [{"row": rows[1]["row"], "vote": "tie"}], "Ann")
        assert (changed["added"], changed["superseded"], changed["votes"]) == (1, 1, 80)
        wait_until(lambda: client.human(id)["up_to_date"], 60, "the report with all votes")
        found = client.human(id)
    assert found["raters"] == {"Ann": 40, "Bob": 40} and found["included"] == 80 and found["superseded"] == 1
    people = found["trust"][""]["people"]
    assert people["raters"]["Ann"]["judge"]["kappa"]["n"] == 40
    wins = {(one["arm"], one["over"]): one["people"]["estimate"] for one in people["wins"]}
    assert wins["rlaif-weak", "sft-strong"] > 0.8, "whichever side it stood on"
    sorts = {row["sort"] for row in found["trust"][""]["rows"]}
    assert {"people", "head_to_head", "people_head_to_head"} <= sorts
    # The committed report is what it was; what is served says how many votes are in it.
    after = http.get("report", headers={"Accept": "application/json"}).json()
    assert after["verdict"] == first["verdict"] and after["arms"] == first["arms"]
    html = http.get("report", headers={"Accept": "text/html"}).text
    assert "This report includes 80 votes of 2 people" in html
    assert {info.name for info in stack.store.list("commits/")} == committed
    assert len(objects(stack, id)) == 3, "an object for each time that votes were sent, and none is changed"
    shown = touchstone("human", "show", id)
    assert shown.returncode == 0 and "Ann" in shown.stdout and "includes 80 votes" in shown.stdout
    mine = http.get("human/votes", params={"rater": "Ann"}).json()["items"]
    assert len(mine) == 40 and {"row", "vote", "rater", "at"} == set(mine[0])


def test_a_wiped_redis_loses_no_vote(finished: tuple[Stack, str], http: httpx.Client) -> None:
    stack, _ = finished
    (row,) = sheet(http, n=1)
    assert (
        http.post("human/votes", json={"rater": "Cy", "votes": [{"row": row["row"], "vote": "tie"}]}).status_code == 201
    )
    before = http.get("human").json()["votes"]
    stack.redis.flushall()
    wait_until(lambda: http.get("human").status_code == 200, 30, "the summary")
    assert http.get("human").json()["votes"] == before
    wait_until(lambda: http.get("human").json()["up_to_date"], 60, "the report with all votes")


def test_the_command_names_what_is_wrong(finished: tuple[Stack, str], touchstone: Run, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("row,vote,rater\nx,left,Ann\n")
    done = touchstone("human", "import", finished[1], str(wrong))
    assert done.returncode == 2 and "line 2.row" in done.stderr
    assert touchstone("human", "sheet", "nowhere").returncode == 4
    with Client(finished[0].api_url) as client, pytest.raises(InvalidInput, match="no row"):
        client.add_votes(finished[1], [{"row": "x", "vote": "left"}], "Ann")
