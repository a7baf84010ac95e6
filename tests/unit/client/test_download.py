"""An export's files come whole: gone on with after a break, checked, and under their names only when complete."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from touchstone_client import Client, InvalidInput, NotFound, Unreachable
from touchstone_client.download import download, wanted

FILES = {"config.json": b"{}", "model.safetensors": bytes(range(256)) * 40, "data/rows.parquet": b"PAR1", "empty": b""}


def listing(files: Mapping[str, bytes] = FILES) -> dict[str, Any]:
    return {
        "files": [
            {"path": path, "size": len(data), "sha256": hashlib.sha256(data).hexdigest(), "href": f"/files/{path}"}
            for path, data in files.items()
        ]
    }


class Server:
    """Serves files; `breaks` says after how many bytes the next answers end."""

    def __init__(
        self, files: Mapping[str, bytes] = FILES, breaks: list[int] | None = None, ranges: bool = True
    ) -> None:
        self.files, self.breaks, self.ranges = dict(files), list(breaks or []), ranges
        self.asked: list[tuple[str, str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/files/")
        self.asked.append((path, request.headers.get("range", "")))
        if path not in self.files:
            return httpx.Response(404, json={"title": "Not Found", "status": 404, "detail": f"no {path}"})
        start = int(request.headers.get("range", "bytes=0-").removeprefix("bytes=").rstrip("-"))
        start = start if self.ranges else 0
        rest = self.files[path][start:]
        stop = self.breaks.pop(0) if rest and self.breaks else len(rest)
        return httpx.Response(206 if start else 200, stream=Cut(rest, stop))

    def http(self) -> httpx.Client:
        return httpx.Client(transport=httpx.MockTransport(self), base_url="http://test")


class Cut(httpx.SyncByteStream):
    """A stream that breaks after some bytes."""

    def __init__(self, data: bytes, stop: int) -> None:
        self._data, self._stop = data, stop

    def __iter__(self) -> Iterator[bytes]:
        yield self._data[: self._stop]
        if self._stop < len(self._data):
            raise httpx.ReadError("connection reset")


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_folder_has_every_file_and_nothing_beside_it(tmp_path: Path) -> None:
    counted: list[int] = []
    made = download(Server().http(), wanted(listing()), tmp_path / "out", counted.append)
    assert contents(made) == FILES
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert sum(counted) == sum(map(len, FILES.values()))


def test_a_broken_answer_goes_on_where_it_ended(tmp_path: Path) -> None:
    server = Server({"model.safetensors": FILES["model.safetensors"]}, breaks=[1000, 500])
    made = download(server.http(), wanted(listing(server.files)), tmp_path / "out")
    assert contents(made) == server.files
    assert [range for _, range in server.asked] == ["", "bytes=1000-", "bytes=1500-"]


def test_a_stopped_download_leaves_no_folder_and_goes_on(tmp_path: Path) -> None:
    server = Server()

    def stop(more: int) -> None:
        if (tmp_path / ".out.part" / "config.json").exists() and more > 1000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        download(server.http(), wanted(listing()), tmp_path / "out", stop)
    assert not (tmp_path / "out").exists() and not (tmp_path / ".out.part" / "model.safetensors").exists()
    server.asked.clear()
    counted: list[int] = []
    made = download(server.http(), wanted(listing()), tmp_path / "out", counted.append)
    assert contents(made) == FILES and sum(counted) == sum(map(len, FILES.values()))
    assert "config.json" not in [path for path, _ in server.asked], "what is whole is not read again"


def test_a_server_without_ranges_sends_it_again_whole(tmp_path: Path) -> None:
    server = Server({"model.safetensors": FILES["model.safetensors"]}, breaks=[1000], ranges=False)
    counted: list[int] = []
    made = download(server.http(), wanted(listing(server.files)), tmp_path / "out", counted.append)
    assert contents(made) == server.files and sum(counted) == len(FILES["model.safetensors"])


def test_a_damaged_file_is_refused_and_read_anew(tmp_path: Path) -> None:
    server = Server({"config.json": b"[]"})
    files = wanted(listing({"config.json": b"{}"}))
    with pytest.raises(Unreachable, match=r"config\.json came damaged"):
        download(server.http(), files, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    server.files["config.json"] = b"{}"
    assert contents(download(server.http(), files, tmp_path / "out")) == {"config.json": b"{}"}


def test_a_folder_that_holds_it_is_left_as_it_is_and_another_is_refused(tmp_path: Path) -> None:
    server = Server()
    made = download(server.http(), wanted(listing()), tmp_path / "out")
    server.asked.clear()
    assert download(server.http(), wanted(listing()), tmp_path / "out") == made and not server.asked
    (made / "config.json").write_bytes(b"[]")
    with pytest.raises(InvalidInput, match=r"holds something else \(config\.json\)"):
        download(server.http(), wanted(listing()), tmp_path / "out")
    (made / "mine.txt").write_text("mine")
    with pytest.raises(InvalidInput, match=r"holds something else \(mine\.txt\)"):
        download(server.http(), wanted(listing()), tmp_path / "out")
    assert (made / "mine.txt").read_text() == "mine"
    with pytest.raises(InvalidInput, match="is no folder"):
        download(server.http(), wanted(listing()), made / "config.json")


def test_an_empty_folder_is_taken_and_leavings_of_another_version_are_not(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / ".out.part" / "old").mkdir(parents=True)
    (tmp_path / ".out.part" / "old" / "gone.json").write_text("x")
    assert contents(download(Server().http(), wanted(listing()), tmp_path / "out")) == FILES


def test_what_cannot_be_read_ends_it(tmp_path: Path) -> None:
    files = wanted(listing({"gone": b"x"}))
    with pytest.raises(NotFound, match="no gone"):
        download(Server().http(), files, tmp_path / "out")
    away = httpx.Client(transport=httpx.MockTransport(lambda request: httpx.Response(503)), base_url="http://test")
    with pytest.raises(Unreachable, match=r"gone: nothing came.*503.*goes on"):
        download(away, files, tmp_path / "out", patience=0)


def test_a_full_disk_is_said_before(tmp_path: Path) -> None:
    huge = listing()
    huge["files"][1]["size"] = 10**18
    with pytest.raises(InvalidInput, match=r"GB more are needed, and .* GB are free"):
        download(Server().http(), wanted(huge), tmp_path / "out")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a\\b"])
def test_no_file_leaves_the_folder(path: str) -> None:
    with pytest.raises(Unreachable, match="no folder can hold"):
        wanted(listing({path: b"x"}))


def test_the_client_downloads_what_it_listed(tmp_path: Path) -> None:
    client = Client(http=Server().http())
    assert contents(client.download_export(listing(), tmp_path / "out")) == FILES
