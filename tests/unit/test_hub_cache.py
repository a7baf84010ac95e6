"""A hub's model on this host's disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants

from shared.errors import Outage
from shared.hub_cache import fetch_from_hub
from tests.hub import AWAY, COMMIT, Hub, Repository, point_at

FILES = {"model.safetensors": b"weights", "config.json": b"{}", "modeling.py": b"code", "model.bin": b"pickle"}


@pytest.fixture(autouse=True)
def no_place_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(name, raising=False)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_what_a_model_is_loaded_from_comes_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with Hub() as hub:
        hub.repositories["model/org/tiny"] = Repository(dict(FILES))
        point_at(monkeypatch, hub.endpoint)
        folder = fetch_from_hub("org/tiny", COMMIT, tmp_path)
        assert names(folder) == {"model.safetensors", "config.json"} and folder.name == COMMIT
        hub.asked.clear()
        assert fetch_from_hub("org/tiny", COMMIT, tmp_path) == folder
        assert not [asked for asked in hub.asked if asked.startswith("GET /org/tiny/resolve")]
        assert "modeling.py" in names(fetch_from_hub("org/tiny", COMMIT, tmp_path, code=True))
    point_at(monkeypatch, AWAY)
    assert fetch_from_hub("org/tiny", COMMIT, tmp_path) == folder


def test_the_operators_own_place_is_kept_to(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "theirs"))
    with Hub() as hub:
        hub.repositories["model/org/tiny"] = Repository(dict(FILES))
        point_at(monkeypatch, hub.endpoint)
        assert fetch_from_hub("org/tiny", COMMIT, tmp_path / "ours").is_relative_to(tmp_path / "theirs")


@pytest.mark.slow
def test_a_hub_that_is_away_is_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    point_at(monkeypatch, AWAY)
    with pytest.raises(Outage, match="the model hub does not give org/tiny"):
        fetch_from_hub("org/tiny", COMMIT, tmp_path)


def test_a_disk_without_room_is_said_before_anything_comes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100, 95, 5))
    with Hub() as hub:
        hub.repositories["model/org/tiny"] = Repository(dict(FILES))
        point_at(monkeypatch, hub.endpoint)
        with pytest.raises(Outage, match=r"no room for the hub's model org/tiny: 9 bytes and 9 bytes to spare"):
            fetch_from_hub("org/tiny", COMMIT, tmp_path)
        assert not [asked for asked in hub.asked if asked.startswith("GET /org/tiny/resolve")]
