"""The folder of the embedded stack: secrets, what runs, one command at a time."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from infra.local.home import Home, Running, StackError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    made = Home(tmp_path / "home")
    made.prepare()
    return made


def test_secrets_are_made_once_and_readable_by_their_owner_alone(home: Home) -> None:
    first = home.secrets()
    assert home.secrets() == first
    assert len({first.redis_password, first.s3_access_key, first.s3_secret_key, first.supervisor_password}) == 4
    assert stat.S_IMODE((home.folder / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_two_homes_share_no_secret(tmp_path: Path, home: Home) -> None:
    other = Home(tmp_path / "other")
    other.prepare()
    assert other.secrets().s3_secret_key != home.secrets().s3_secret_key


def test_damaged_secrets_say_what_to_do(home: Home) -> None:
    (home.folder / "secrets.json").write_text('{"redis_password": ')
    with pytest.raises(StackError, match=r"secrets\.json is damaged. Remove it"):
        home.secrets()


def test_what_runs_is_remembered_and_forgotten(home: Home) -> None:
    assert home.running() is None
    running = Running(1, "mark", "up", 2, {"api": 8000, "flower": 5555})
    home.set_running(running)
    assert Home(home.folder).running() == running
    assert running.api_url == "http://127.0.0.1:8000"
    home.set_running(None)
    assert home.running() is None
    home.set_running(None)


def test_one_command_at_a_time_changes_the_stack(home: Home) -> None:
    with home.changing(), pytest.raises(StackError, match="another command"), Home(home.folder).changing():
        pass
    with home.changing():
        pass


def test_a_folder_that_cannot_be_made_names_the_variable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StackError, match="TOUCHSTONE_HOME"):
        Home(tmp_path / "file" / "home").prepare()


def test_the_folder_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_HOME", str(tmp_path / "elsewhere"))
    assert Home.from_environment().folder == tmp_path / "elsewhere"
    monkeypatch.delenv("TOUCHSTONE_HOME")
    assert Home.from_environment().folder.name == ".touchstone"
