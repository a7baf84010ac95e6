"""The hub's datasets and models, pinned to commits: against a stand-in of its HTTP API, through its own client."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shared.errors import BadInput, Outage
from shared.hub import download, find_files, revision_of
from shared.plan.experiment import plan
from shared.settings import Settings
from shared.spec.parse import parse_spec
from shared.spec.resolve import resolve
from shared.store import MemoryStore
from tests.hub import AWAY, COMMIT, Hub, Repository, point_at
from tests.unit.specs import spec_with

LARGEST = 1_000_000


def parquet(*rows: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows)), out)
    return out.getvalue()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as made:
        point_at(monkeypatch, made.endpoint)
        made.repositories["model/org/base"] = Repository(names=("main", "v1"))
        made.repositories["dataset/org/rows"] = Repository(
            {
                "README.md": b"---\n---\n",
                "data/train-0.parquet": parquet({"id": "a", "text": "Why?"}),
                "data/train-1.parquet": parquet({"id": "b", "text": "How?"}),
                "extra.jsonl": b"{}\n",
            }
        )
        yield made


def refused(name: str, pattern: str = "", largest: int = LARGEST) -> BadInput:
    with pytest.raises(BadInput) as caught:
        find_files("hub", name, pattern, largest)
    return caught.value


@pytest.mark.parametrize("name", ["org/base", "org/base@main", "org/base@v1", f"org/base@{COMMIT}"])
def test_a_name_is_pinned_to_its_commit(hub: Hub, name: str) -> None:
    assert revision_of("policies.toy.model", name) == COMMIT


def test_a_hub_s_model_enters_the_keys_by_its_commit(hub: Hub) -> None:
    def sft() -> dict[str, dict[str, Any]]:
        made = plan(resolve(parse_spec(spec_with(policies__toy={"model": "org/base"})), MemoryStore(), Settings()))
        return {key: stage.params for key, stage in made.stages.items() if stage.kind == "sft"}

    before = sft()
    assert {(one["model"]["hub"], one["model"]["revision"]) for one in before.values()} == {("org/base", COMMIT)}
    hub.repositories["model/org/base"].sha = "b" * 40
    assert not set(before) & set(sft()), "another commit is another base model"


@pytest.mark.parametrize(
    ("name", "says"),
    [("org/none", "has no model 'org/none'"), ("org/base@v9", "has no revision 'v9'"), ("no name", "is no name of")],
)
def test_what_the_hub_has_not_names_field_and_fix(hub: Hub, name: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        revision_of("policies.toy.model", name)
    assert caught.value.field == "policies.toy.model" and caught.value.fix


def test_files_are_those_of_the_commit(hub: Hub, tmp_path: Path) -> None:
    found = find_files("hub", "org/rows@main", "data/train-*.parquet", LARGEST)
    assert found.origin == {
        "hub": "org/rows",
        "revision": COMMIT,
        "files": "data/train-0.parquet, data/train-1.parquet",
    }
    paths = download("hub", found, tmp_path)
    assert [pq.read_table(path)["id"].to_pylist() for path in paths] == [["a"], ["b"]]
    assert {line.split("/resolve/")[1].split("/")[0] for line in hub.asked if "/resolve/" in line} == {COMMIT}


def test_which_file_is_meant_must_be_clear(hub: Hub) -> None:
    assert "several data files: data/train-0.parquet" in refused("org/rows").problem
    assert "names 3 files" in refused("org/rows", "*").problem
    assert "has no test.parquet; it has data/train-0" in refused("org/rows", "test.parquet").problem
    assert "are the most" in refused("org/rows", "extra.jsonl", 1).problem
    assert "has no dataset 'org/none'" in refused("org/none").problem
    assert find_files("hub", "org/rows", "extra.jsonl", LARGEST).files == ("extra.jsonl",)


def test_a_hub_that_is_away_is_an_outage_that_says_what_else_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, AWAY)
    with pytest.raises(Outage, match=r"hub: the model hub cannot be reached .*touchstone dataset add FILE"):
        find_files("hub", "org/rows", "", LARGEST)
    with pytest.raises(Outage, match=r"policies\.toy\.model: .*touchstone model add"):
        revision_of("policies.toy.model", "org/base")
