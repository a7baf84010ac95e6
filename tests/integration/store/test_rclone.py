"""What holds of the embedded S3 server alone: credentials, kills, what a kill leaves, and one server per folder."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from infra.local.s3 import sweep
from shared.errors import Outage
from shared.store import S3Store
from tests.stack import Stack
from tests.waiting import wait_until


def test_a_wrong_secret_is_refused(servers: Stack) -> None:
    settings = servers.settings
    stranger = S3Store(settings.s3_endpoint, settings.s3_access_key, "wrong-secret", settings.s3_bucket)
    for attempt in (lambda: stranger.get("x"), lambda: stranger.put("x", b"x"), lambda: list(stranger.list(""))):
        with pytest.raises(Outage, match=r"SignatureDoesNotMatch|AccessDenied"):
            attempt()


def test_an_unknown_access_key_is_refused(servers: Stack) -> None:
    stranger = S3Store(servers.settings.s3_endpoint, "stranger", "whatever-secret", servers.settings.s3_bucket)
    with pytest.raises(Outage):
        stranger.get("x")


def test_a_server_that_is_away_is_an_outage(stack: Stack) -> None:
    stack.kill("s3")
    with pytest.raises(Outage, match="cannot be reached"):
        stack.store.get("x")


def test_what_was_put_survives_a_kill_amid_puts(stack: Stack) -> None:
    store = stack.store
    done: list[str] = []

    def put(number: int) -> None:
        try:
            store.put(f"n/{number:04d}", str(number).encode() * 1000)
        except Outage:
            return
        done.append(f"n/{number:04d}")

    with ThreadPoolExecutor(8) as pool:
        puts = [pool.submit(put, number) for number in range(400)]
        wait_until(lambda: len(done) > 50, 30, "fifty puts")
        stack.kill("s3")
        stack.start_s3()
        for waiting in puts:
            waiting.result()
    whole = {info.name: info.size for info in stack.store.list("n/")}
    assert set(done) <= set(whole)
    assert all(size == len(str(int(name[2:]))) * 1000 for name, size in whole.items())


def test_half_written_files_are_swept_at_the_start(stack: Stack) -> None:
    stack.store.put("a/b", b"x")
    left = stack.folder / "s3" / stack.settings.s3_bucket / "a" / ".rclone_temp_put_1234"
    left.write_bytes(b"half")
    stack.kill("s3", signal.SIGTERM)
    stack.start_s3()
    assert not left.exists()
    assert [info.name for info in stack.store.list("")] == ["a/b"]


def test_the_sweep_says_how_many_files_it_removed(tmp_path: Path) -> None:
    (tmp_path / "bucket" / "x").mkdir(parents=True)
    (tmp_path / "bucket" / "x" / ".rclone_temp_put_1").touch()
    (tmp_path / "bucket" / ".rclone_temp_2").touch()
    (tmp_path / "bucket" / "kept").touch()
    assert sweep(tmp_path) == 2
    assert [path.name for path in (tmp_path / "bucket").rglob("*") if path.is_file()] == ["kept"]


@pytest.mark.parametrize("server", ["s3", "valkey"])
def test_a_second_server_on_a_folder_is_refused(stack: Stack, server: str) -> None:
    stack.start("rival", ["-m", f"infra.local.{server}", str(stack.folder / server)])
    assert stack.processes["rival"].wait(20) != 0
    assert "another server uses this folder" in stack.log("rival")


def test_the_keys_are_not_in_the_list_of_processes(stack: Stack) -> None:
    for server, secret in (("s3", "test-secret-key"), ("valkey", "test-password")):
        words = Path(f"/proc/{stack.processes[server].pid}/cmdline")
        if not words.exists():
            pytest.skip("this system has no /proc")
        assert secret not in words.read_text()
