"""The local file of a purse: what it paid, so that whoever finds it after a kill knows what it can have spent.

    <folder>/<experiment>/<purse>.jsonl     a line that says for whom, then `+ <number> <bound>` before a request
                                            and `= <number> <amount>` after it

A write-ahead file like those of answers (wal.py): locked while its owner lives, each line whole or not there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.llm import wal
from shared.llm.wal import WalFile


@dataclass(frozen=True)
class Owner:
    """For whom a purse pays: an experiment's stage."""

    experiment: str
    kind: str
    stage: str


class PurseFile:
    """One purse's file, locked by this process."""

    def __init__(self, file: WalFile) -> None:
        self._file = file

    @classmethod
    def create(cls, folder: Path, owner: Owner) -> PurseFile:
        """Raises OSError."""
        return cls(WalFile.create(folder, owner.experiment, json.dumps(asdict(owner)).encode() + b"\n"))

    @property
    def name(self) -> str:
        return self._file.name.lower()

    def begin(self, number: int, bound: int) -> None:
        """Raises OSError: the request must not be sent."""
        self._file.append(f"+ {number} {bound}\n".encode())

    def end(self, number: int, amount: int) -> None:
        """On a full disk the bound stands."""
        with suppress(OSError):
            self._file.append(f"= {number} {amount}\n".encode())

    def read(self) -> tuple[Owner, int] | None:
        """For whom it paid, and what it can have spent at most; None if it was killed before it could say so."""
        whole, _, _ = self._file.read().decode().rpartition("\n")
        if not whole:
            return None
        head, *lines = whole.split("\n")
        amounts = {number: int(amount) for _, number, amount in map(str.split, lines)}
        return Owner(**json.loads(head)), sum(amounts.values())

    def remove(self) -> None:
        """Delete it and let go of it."""
        self._file.remove()

    def close(self) -> None:
        """Let go of it; whoever looks next finds it."""
        self._file.close()


def abandoned(folder: Path) -> Iterator[PurseFile]:
    """The files of dead owners, locked by us from now on."""
    return map(PurseFile, wal.abandoned(folder))
