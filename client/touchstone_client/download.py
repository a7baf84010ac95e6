"""An exported folder, file by file: what was cut off goes on, every file is checked by its SHA-256, and the folder is
there as a whole or not at all. What is on its way lies beside it, in `.NAME.part`."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import httpx

from touchstone_client.errors import FieldError, InvalidInput, Unreachable, problem_error

TIMEOUT = httpx.Timeout(60, connect=5)
FIRST_WAIT, LONGEST_WAIT = 0.25, 5.0
Told = Callable[[int], None]
"""Called with the bytes that are there more, those of an earlier try included."""


@dataclass(frozen=True)
class Wanted:
    """One file of an export."""

    path: str
    size: int
    sha256: str
    href: str


def wanted(export: Mapping[str, Any]) -> list[Wanted]:
    """The files of an export's listing. Raises `Unreachable` where a path leads out of the folder."""
    found = [Wanted(*(one[name] for name in ("path", "size", "sha256", "href"))) for one in export["files"]]
    for one in found:
        parts = PurePosixPath(one.path).parts
        if not parts or one.path.startswith("/") or "\\" in one.path or {".", ".."} & set(parts):
            raise Unreachable(f"the server names a file that no folder can hold: {one.path!r}")
    return found


def download(
    http: httpx.Client, files: Sequence[Wanted], folder: Path, told: Told = lambda more: None, patience: float = 120
) -> Path:
    """Bring the files into `folder`, or see that they are there. Gives up after `patience` seconds without a byte.

    Raises:
        InvalidInput: the folder holds something else, cannot be written, or the disk is too full.
        Unreachable: the server was away for too long, or a file came damaged.
    """
    try:
        if _holds(folder, files):
            told(sum(one.size for one in files))
            return folder
        partial = folder.with_name(f".{folder.name}.part")
        partial.mkdir(parents=True, exist_ok=True)
        _check_room(partial, files)
        for one in files:
            _bring(http, one, partial, told, patience)
        _remove_others(partial, files)
        if folder.exists():
            folder.rmdir()
        return partial.rename(folder)
    except OSError as error:
        problem = f"{error.filename or folder}: {error.strerror or error}"
        raise InvalidInput(FieldError("--out", problem, "Name a folder that can be written.")) from None


def _holds(folder: Path, files: Sequence[Wanted]) -> bool:
    """Whether all of it is there already; False where there is nothing yet."""
    if not folder.is_dir():
        if folder.exists():
            raise InvalidInput(FieldError("--out", f"{folder} is no folder", "Name another one."))
        return False
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    if not present:
        return False
    other = next((path for path in sorted(present - {one.path for one in files})), None) or next(
        (one.path for one in files if not _is(folder / one.path, one)), None
    )
    if other is not None:
        problem = f"{folder} exists and holds something else ({other})"
        raise InvalidInput(FieldError("--out", problem, "Name another folder, or remove this one."))
    return True


def _check_room(partial: Path, files: Sequence[Wanted]) -> None:
    there = sum(path.stat().st_size for path in partial.rglob("*") if path.is_file())
    needed, free = sum(one.size for one in files) - there, shutil.disk_usage(partial).free
    if needed > free:
        problem = f"{needed / 1e9:.1f} GB more are needed, and {free / 1e9:.1f} GB are free"
        raise InvalidInput(FieldError("--out", problem, "Name a folder on another disk, or make room."))


def _bring(http: httpx.Client, one: Wanted, partial: Path, told: Told, patience: float) -> None:
    target = partial / one.path
    if _is(target, one):
        told(one.size)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # Named by its hash too: half of another version is never gone on with.
    part = target.with_name(f".{target.name}.{one.sha256[:16]}.part")
    there = part.stat().st_size if part.exists() else 0
    if there > one.size:
        part.unlink()
        there = 0
    told(there)
    wait, heard_at = FIRST_WAIT, time.monotonic()
    while there < one.size or not part.exists():
        before, problem = there, "the answer ended early"
        try:
            there = _read_on(http, one, part, there, told)
        except httpx.TransportError as error:
            problem = str(error) or type(error).__name__
            there = part.stat().st_size if part.exists() else 0
        if there >= one.size:
            break
        if there > before:
            wait, heard_at = FIRST_WAIT, time.monotonic()
        elif time.monotonic() - heard_at > patience:
            raise Unreachable(f"{one.path}: nothing came for {patience:.0f} s ({problem}); the same command goes on")
        time.sleep(wait)
        wait = min(LONGEST_WAIT, wait * 2)
    if _sha256(part) != one.sha256:
        part.unlink()
        raise Unreachable(
            f"{one.path} came damaged: its SHA-256 is not what the server said; the same command tries again"
        )
    part.replace(target)


def _read_on(http: httpx.Client, one: Wanted, part: Path, there: int, told: Told) -> int:
    """Read a file from the byte where it was cut off; returns how many bytes are there now."""
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={there}-"} if there else {})}
    with http.stream("GET", one.href, headers=headers, timeout=TIMEOUT) as response:
        if response.status_code >= 500:
            raise httpx.RemoteProtocolError(f"the server answered {response.status_code}")
        if response.is_error:
            response.read()
            raise problem_error(response)
        if there and response.status_code != 206:
            told(-there)
            there = 0
        with part.open("ab" if there else "wb") as file:
            for chunk in response.iter_bytes():
                file.write(chunk)
                there += len(chunk)
                told(len(chunk))
    return there


def _remove_others(partial: Path, files: Sequence[Wanted]) -> None:
    """What an earlier try for another version left."""
    kept = {partial / one.path for one in files}
    for path in sorted(partial.rglob("*"), reverse=True):
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _is(path: Path, one: Wanted) -> bool:
    return path.is_file() and path.stat().st_size == one.size and _sha256(path) == one.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
