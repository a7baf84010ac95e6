"""`make up`, `down`, `status`, `logs`: with real processes under the real supervisor."""

from __future__ import annotations

import os
import re
import signal
import socket
import stat

import httpx
import psutil
import pytest

from infra.local import supervisor
from infra.local.commands import STATUS_STOPPED
from infra.local.home import StackError
from infra.local.lifecycle import choose_ports, start, stop, wait_ready
from infra.local.roles import SERVERS, SERVICES
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.stack.local import Local
from tests.waiting import wait_until

# A loaded machine with two cores starts a dozen interpreters.
START = 90


def store_of(local: Local) -> S3Store:
    own, ports = local.home.secrets(), local.running.ports
    settings = Settings.model_validate(
        {
            "s3_endpoint": f"http://127.0.0.1:{ports['s3']}",
            "s3_access_key": own.s3_access_key,
            "s3_secret_key": own.s3_secret_key,
        }
    )
    return S3Store.from_settings(settings)


@pytest.mark.timeout(400)
@pytest.mark.slow
def test_up_restarts_what_dies_scales_keeps_its_data_and_leaves_nothing(local: Local) -> None:
    code, said = local.run("up", timeout=START)
    assert code == 0, said
    assert f"http://127.0.0.1:{local.port}" in said and f"http://127.0.0.1:{local.flower}" in said
    assert set(local.states()) == {*SERVERS, *SERVICES, "trainer-1", "flower"}
    assert httpx.get(f"http://127.0.0.1:{local.flower}/healthcheck").text == "OK"
    assert stat.S_IMODE((local.home.folder / "secrets.json").stat().st_mode) == 0o600
    mark = local.running.mark

    code, said = local.run("up")
    assert code == 0 and "is up already, with 1 trainer" in said
    code, said = local.run("up", "--trainers", "2", timeout=START)
    assert code == 0 and "has 2 trainers now" in said
    assert local.states()["trainer-2"][0] == "RUNNING"
    code, said = local.run("up", "--trainers", "1", timeout=START)
    assert "trainer-2" not in local.states()
    assert local.running.mark == mark

    store_of(local).put("kept", b"x")
    for name in ("api", "valkey", "s3"):
        before = local.states()[name][1]
        os.kill(before, signal.SIGKILL)
        wait_until(lambda name=name, pid=before: local.states()[name][1] not in (0, pid), 30, f"{name}'s return")  # type: ignore[misc]
    wait_until(local.is_ready, 60, "readiness after three kills")

    code, said = local.run("status")
    assert code == 0 and "trainer-1" in said and "together" in said
    code, said = local.run("logs", "valkey", "--lines", "1")
    assert code == 0 and len(said.strip().splitlines()) == 1
    code, said = local.run("logs", "nobody")
    assert code == 1 and "there is no log 'nobody'" in said and "valkey" in said

    code, said = local.run("down", timeout=60)
    assert code == 0 and "is down" in said
    assert supervisor.marked(mark) == []
    assert local.run("status")[0] == STATUS_STOPPED
    assert "not running" in local.run("down")[1]

    code, said = local.run("up", timeout=START)
    assert code == 0, said
    assert store_of(local).get("kept") == b"x"
    again = local.running.mark
    assert again != mark
    assert local.run("down", timeout=60)[0] == 0
    assert supervisor.marked(again) == []


def test_a_taken_port_is_an_error_that_names_the_variable(local: Local) -> None:
    with socket.create_server(("127.0.0.1", local.port)):
        code, said = local.run("up")
    assert code == 1
    assert said.strip() == f"error: port {local.port} is taken. Set TOUCHSTONE_API_PORT to a free one."
    assert local.home.running() is None


@pytest.mark.timeout(200)
def test_what_a_killed_supervisor_leaves_is_found_and_ended(local: Local) -> None:
    local.home.prepare()
    with local.home.changing():
        running, process = start(local.home, "up", 1, choose_ports({}))
    wait_until(lambda: len(supervisor.marked(running.mark)) >= 10, START, "the processes to start")
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    code, said = local.run("status")
    assert code == STATUS_STOPPED and "supervisor is gone" in said
    assert supervisor.marked(running.mark) != []
    assert local.run("down", timeout=60)[0] == 0
    assert supervisor.marked(running.mark) == []


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_what_does_not_start_is_named_with_its_last_words(local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_LEASE_SECONDS", "soon")
    local.home.prepare()
    with local.home.changing():
        running, process = start(local.home, "up", 1, choose_ports({}))
        log = local.home.log("conductor")
        wait_until(lambda: log.exists() and "lease_seconds" in log.read_text(), START, "the conductor to complain")
        with pytest.raises(StackError, match="not ready after 1 s") as error:
            wait_ready(local.home, running, seconds=1)
        stop(local.home, running)
    process.wait(10)
    # Whichever is not up at that moment: the setting keeps every service from starting.
    assert re.search(r"waiting for [a-z]|the API does not answer", str(error.value))
    assert "lease_seconds" in str(error.value)
    assert not psutil.pid_exists(running.supervisor_pid)
