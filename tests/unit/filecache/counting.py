"""A store in memory that counts what is read of it, and cuts a read off where it is told to."""

from __future__ import annotations

from collections.abc import Iterator

from shared.canonical import sha256_hex
from shared.errors import Outage
from shared.filecache import Wanted
from shared.store import MemoryStore


class CountingStore(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self.read: list[tuple[str, int]] = []
        """Of each read: the object, and from which byte on."""
        self.cuts: list[int] = []
        """After how many bytes the next reads are cut off."""
        self.bytes = 0

    def add(self, name: str, data: bytes) -> Wanted:
        self.put(name, data)
        return Wanted(name, sha256_hex(data), len(data))

    def stream(self, name: str, start: int = 0) -> Iterator[bytes]:
        data = self.get(name)
        self.read.append((name, start))
        return self._pieces(data, start)

    def _pieces(self, data: bytes, start: int) -> Iterator[bytes]:
        until = self.cuts.pop(0) if self.cuts else len(data)
        piece = max(10, len(data) // 10)
        for at in range(start, len(data), piece):
            if at - start >= until:
                raise Outage("the connection was lost")
            self.bytes += len(data[at : at + piece])
            yield data[at : at + piece]
