"""The supervisor's configuration, read back by the supervisor's own parser."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from infra.local.configuration import configuration
from infra.local.home import Home
from infra.local.roles import SERVERS, SERVICES, Process, environment, processes

PORTS = {"api": 1, "flower": 2, "valkey": 3, "s3": 4, "simulator": 5, "supervisor": 6}


def parse(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> ServerOptions:
    for name in ("run", "logs"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "run" / "supervisord.conf").write_text(text)
    monkeypatch.chdir(folder)
    options = ServerOptions()
    options.realize(["-c", "run/supervisord.conf"])
    return options


def test_every_process_restarts_for_ever_and_stops_with_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = processes(trainers=3, ports=PORTS, owned=True)
    options = parse(configuration(wanted, PORTS["supervisor"], "secret"), tmp_path, monkeypatch)
    found = {group.name: group.process_configs[0] for group in options.process_group_configs}
    assert set(found) == {*SERVERS, *SERVICES, "trainer-1", "trainer-2", "trainer-3", "flower", "lifeline"}
    for config in found.values():
        assert config.autostart and config.stopasgroup and config.killasgroup
        assert config.autorestart.__name__ == "RestartUnconditionally"
        assert config.startretries >= 1_000_000


def test_servers_start_before_services_and_stop_after_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse(configuration(processes(1, PORTS, False), 6, "secret"), tmp_path, monkeypatch)
    priority = {group.name: group.process_configs[0].priority for group in options.process_group_configs}
    assert max(priority[name] for name in SERVERS) < min(priority[name] for name in (*SERVICES, "trainer-1", "flower"))


def test_words_with_odd_characters_arrive_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("some.module", "a b", "100%", "%(here)s", "it's", 'say "so"')
    options = parse(configuration([Process("odd", words)], 6, "secret"), tmp_path / "a b #1;%d", monkeypatch)
    (group,) = options.process_group_configs
    assert tuple(shlex.split(group.process_configs[0].command)[2:]) == words


def test_the_supervisor_listens_on_loopback_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = parse(configuration([], 4321, "hidden"), tmp_path, monkeypatch)
    (server,) = options.configroot.supervisord.server_configs
    assert (server["host"], server["port"], server["password"]) == ("127.0.0.1", 4321, "hidden")


def test_an_unowned_stack_has_no_lifeline() -> None:
    assert "lifeline" not in {process.name for process in processes(1, PORTS, owned=False)}


def test_all_addresses_are_on_loopback(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.prepare()
    found = environment(home, home.secrets(), PORTS, "mark")
    for name in ("REDIS_URL", "S3_ENDPOINT", "API_HOST", "SIMULATOR_HOST", "SIMULATOR_URL"):
        assert "127.0.0.1" in found[f"TOUCHSTONE_{name}"]
