"""A hub's dataset becomes one of ours: read at the commit that its name stands for, kept under its content's hash."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from shared import datasets
from tests.hub import AWAY, COMMIT, Hub, Repository, point_at
from tests.unit.api.test_app import client, problem
from tests.unit.test_hub import parquet


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    with client(tmp_path) as made:
        yield made


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as made:
        point_at(monkeypatch, made.endpoint)
        made.repositories["dataset/org/rows"] = Repository(
            {
                "data/train-0.parquet": parquet({"id": "a", "text": "Why?"}),
                "data/train-1.parquet": parquet({"id": "b", "text": "How?"}),
                "bad.jsonl": b"{\n",
            }
        )
        yield made


def add(api: TestClient, **fields: str) -> Any:
    given = {"name": "mine", "hub": "org/rows", "map": "prompt_id=id,prompt=text", **fields}
    return api.post("/v1/datasets", files=[(name, (None, value)) for name, value in given.items() if value])


def test_its_rows_are_those_of_the_commit_which_is_kept(api: TestClient, hub: Hub) -> None:
    made = add(api, hub_file="data/*.parquet")
    assert made.status_code == 201, made.text
    found = made.json()
    files = "data/train-0.parquet, data/train-1.parquet"
    assert found["origin"] == {"hub": "org/rows", "revision": COMMIT, "files": files}
    assert (found["kind"], found["rows"]) == ("prompts", 2)
    store = api.app.state.touchstone.store  # type: ignore[attr-defined]
    assert datasets.read_dataset(store, found["sha256"])["prompt"].to_pylist() == ["Why?", "How?"]
    assert api.get("/v1/datasets").json()["items"] == [found]
    hub.repositories["dataset/org/rows"].sha = "b" * 40
    assert add(api, hub_file="data/*.parquet").json()["sha256"] == found["sha256"], "the same rows are the same dataset"


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"hub": "org/none"}, "hub", "has no dataset 'org/none'"),
        ({"hub": "org/rows@v9"}, "hub", "has no revision 'v9'"),
        ({}, "hub_file", "several data files"),
        ({"hub": "", "hub_file": "x"}, "hub_file", "of no dataset"),
        ({"hub_file": "bad.jsonl"}, "file", "line 1 is not JSON"),
        ({"hub_file": "data/train-0.parquet", "map": "prompt_id=id"}, "map", "prompt"),
    ],
)
def test_a_mistake_names_its_field(api: TestClient, hub: Hub, fields: dict[str, str], field: str, says: str) -> None:
    (error,) = problem(add(api, **fields), 422)["errors"]
    assert error["field"] == field and says in error["problem"] and error["fix"]


def test_a_hub_that_is_away_is_503(api: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, AWAY)
    assert "the model hub cannot be reached" in problem(add(api), 503)["detail"]
