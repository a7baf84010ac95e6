"""Ports: free ones below the ephemeral range, and a taken one by the variable that changes it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from infra.local.commands import public_port
from infra.local.home import StackError
from infra.local.lifecycle import choose_ports
from infra.local.ports import HIGHEST, LOWEST, free_port, is_free


def test_free_ports_can_be_listened_on_and_differ() -> None:
    first = free_port()
    second = free_port(frozenset({first}))
    assert first != second
    for port in (first, second):
        assert LOWEST <= port <= HIGHEST
        with socket.create_server(("127.0.0.1", port)):
            assert not is_free(port)
        assert is_free(port)


def test_free_ports_are_outside_the_range_of_outgoing_connections() -> None:
    known = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not known.exists():
        pytest.skip("this system does not say which range that is")
    assert int(known.read_text().split()[0]) > HIGHEST


@pytest.mark.parametrize(("name", "variable"), [("api", "TOUCHSTONE_API_PORT"), ("flower", "TOUCHSTONE_FLOWER_PORT")])
def test_a_taken_port_names_the_variable_to_set(name: str, variable: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is taken. Set {variable}"):
            choose_ports({name: port})


def test_all_ports_differ() -> None:
    ports = choose_ports({})
    assert set(ports) == {"api", "flower", "valkey", "s3", "simulator", "supervisor"}
    assert len(set(ports.values())) == len(ports)


@pytest.mark.parametrize("given", ["no", "-1", "0", "70000", "80.5"])
def test_a_port_that_is_none_is_refused(given: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOUCHSTONE_API_PORT", given)
    with pytest.raises(StackError, match=f"TOUCHSTONE_API_PORT={given} is no port"):
        public_port("api")


def test_ports_have_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TOUCHSTONE_API_PORT", "TOUCHSTONE_FLOWER_PORT"):
        monkeypatch.delenv(variable, raising=False)
    assert (public_port("api"), public_port("flower")) == (8000, 5555)
