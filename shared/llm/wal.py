"""Write-ahead files: an answer is in one before it is used, so that a killed process loses none.

    <folder>/<scope>/<ulid>-<owner>.jsonl      a segment that is being written, or waits to be uploaded

Its owner holds a lock on it while it lives; whoever gets that lock has found a dead owner's file. A write survives the
death of its process at once; there is no fsync, so the loss of a host may cost what was not uploaded yet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from ulid import ULID

from shared.llm.locks import create_locked, take_over

SUFFIX = ".jsonl"


class WalFile:
    """One write-ahead file that this process has locked. Not thread-safe."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._size = os.fstat(fd).st_size

    @classmethod
    def create(cls, folder: Path, scope: str, header: bytes, owner: str = "") -> WalFile:
        """A new, locked file that begins with `header`; `owner` is the process's name (claims.py). Raises OSError."""
        path = folder / scope / f"{ULID()}{owner and '-'}{owner}{SUFFIX}"
        file = cls(path, create_locked(path))
        try:
            file.append(header)
        except OSError:
            file.remove()
            raise
        return file

    @property
    def name(self) -> str:
        return self.path.name.removesuffix(SUFFIX)

    @property
    def scope(self) -> str:
        return self.path.parent.name

    def append(self, line: bytes) -> None:
        """Write one line, whole or not at all. Raises OSError (no space left)."""
        try:
            written = os.write(self._fd, line)
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except OSError:
            os.ftruncate(self._fd, self._size)
            raise
        self._size += len(line)

    def read(self) -> bytes:
        # By the descriptor: whoever deletes the folder under us costs no answer.
        return os.pread(self._fd, self._size, 0)

    def remove(self) -> None:
        """Delete it and let go of it."""
        self.path.unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of it; what it holds is then found by whoever looks next."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def abandoned(folder: Path) -> Iterator[WalFile]:
    """The files of dead owners, locked by us from now on."""
    for path in sorted(folder.glob(f"*/*{SUFFIX}")):
        if (fd := take_over(path)) is not None:
            yield WalFile(path, fd)


def left_by(folder: Path, owner: str) -> bool:
    """Whether there are files of this owner."""
    return any(folder.glob(f"*/*-{owner}{SUFFIX}"))


def local_segments(folder: Path, scope: str) -> Iterator[bytes]:
    """What this host's write-ahead files of a scope hold now, whoever owns them."""
    for path in sorted((folder / scope).glob(f"*{SUFFIX}")):
        try:
            yield path.read_bytes()
        except FileNotFoundError:
            continue
