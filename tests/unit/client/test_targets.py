"""Which experiment a person means, and which files of a folder are a model."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from touchstone_client import Client, InvalidInput, NotFound
from touchstone_client.cli import _mapping
from touchstone_client.folders import model_files
from touchstone_client.targets import find_experiment

LISTED = [("01c-new", "quick"), ("01c-old", "quick"), ("01b", "other"), ("quick", "confusing")]


@pytest.fixture
def client() -> Client:
    """A server with four experiments, newest first, two a page."""

    def answer(request: httpx.Request) -> httpx.Response:
        start = int(request.url.params.get("cursor", "0"))
        items = [{"id": id, "name": name} for id, name in LISTED[start : start + 2]]
        return httpx.Response(200, json={"items": items, "next_cursor": str(start + 2) if start == 0 else None})

    return Client(http=httpx.Client(transport=httpx.MockTransport(answer), base_url="http://test"))


@pytest.mark.parametrize(("target", "id"), [("01b", "01b"), ("01c-o", "01c-old"), ("other", "01b"), ("quick", "quick")])
def test_ids_beginnings_and_names(client: Client, target: str, id: str) -> None:
    assert find_experiment(client, target) == id


def test_a_name_means_its_newest_and_a_file_its_name(client: Client, tmp_path: Path) -> None:
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: other\nseeds: [0]\n")
    assert find_experiment(client, str(spec)) == "01b"
    for text in ("seeds: [0]", "name: [", "[]"):
        spec.write_text(text)
        with pytest.raises(InvalidInput):
            find_experiment(client, str(spec))


def test_several_or_none(client: Client) -> None:
    with pytest.raises(InvalidInput, match="3 experiments begin with '01'"):
        find_experiment(client, "01")
    for nothing in ("zz", ""):
        with pytest.raises(NotFound):
            find_experiment(client, nothing)


def test_model_files(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "README.md", ".git/config.json", "sub/vocab.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert sorted(model_files(tmp_path)) == ["config.json", "model.safetensors", "sub/vocab.txt"]
    (tmp_path / "pytorch_model.bin").write_text("x")
    with pytest.raises(InvalidInput, match=r"pytorch_model\.bin: is a pickle"):
        model_files(tmp_path)
    (tmp_path / "empty").mkdir()
    for wrong in (tmp_path / "nowhere", tmp_path / "empty"):
        with pytest.raises(InvalidInput):
            model_files(wrong)


def test_mappings() -> None:
    assert _mapping(["a=b,c = d", "e=f=g"]) == {"a": "b", "c": "d", "e": "f=g"}
    with pytest.raises(InvalidInput):
        _mapping(["a"])
