"""An exported folder goes to the hub through huggingface_hub's own client, here against a stand-in of its HTTP API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from touchstone_client import InvalidInput, Unreachable
from touchstone_client.hub import check_repository, publish

from tests.hub import AWAY, Hub, Repository, point_at

CARD = "---\nlicense: other\nlicense_name: choose\n---\n# x\n"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with Hub() as made:
        point_at(monkeypatch, made.endpoint)
        monkeypatch.setenv("HF_TOKEN", "hf_test")
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    files = {
        "README.md": CARD,
        "config.json": "{}",
        "training/loss.parquet": "rows",
        "dataset/README.md": CARD,
        "dataset/data/sft/train-00000-of-00001.parquet": "rows",
    }
    for name, content in files.items():
        path = tmp_path / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "made"


def test_the_model_and_its_rows_become_two_private_repositories(hub: Hub, folder: Path) -> None:
    made = publish(folder, "me/policy")
    assert made == [f"{hub.endpoint}/me/policy", f"{hub.endpoint}/datasets/me/policy"]
    model, rows = hub.repositories["model/me/policy"], hub.repositories["dataset/me/policy"]
    assert model.private and rows.private
    assert model.files.keys() == {"README.md", "config.json", "training/loss.parquet"}
    assert rows.files.keys() == {"README.md", "data/sft/train-00000-of-00001.parquet"}
    assert model.files["README.md"].decode() == CARD
    # Again, over what is there.
    assert publish(folder, "me/policy") == made


def test_nothing_goes_to_a_public_repository_unless_that_is_said(hub: Hub, folder: Path) -> None:
    hub.repositories["model/me/open"] = Repository(private=False)
    with pytest.raises(InvalidInput, match=r"model repository me/open is there, and public.*--public"):
        publish(folder, "me/open")
    assert not hub.repositories["model/me/open"].files
    publish(folder, "me/open", public=True)
    assert hub.repositories["model/me/open"].files


@pytest.mark.parametrize("status", [401, 403])
def test_a_hub_that_refuses_asks_for_a_token(hub: Hub, folder: Path, status: int) -> None:
    hub.refuse = status
    with pytest.raises(InvalidInput, match=r"--repo: the hub refuses.*hf auth login"):
        publish(folder, "me/policy")


def test_a_hub_that_is_away_says_that_the_folder_is_complete(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point_at(monkeypatch, AWAY)
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    with pytest.raises(Unreachable, match=r"hub cannot be reached.*the folder is complete"):
        publish(folder, "me/policy")


@pytest.mark.parametrize("name", ["policy", "a/b/c", "me/", "../x", "me/po licy"])
def test_what_is_no_repositorys_name_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="OWNER/NAME"):
        check_repository(name)
