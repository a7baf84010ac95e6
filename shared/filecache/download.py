"""One file's way from the store: from where an earlier download stopped, and checked at its end."""

from __future__ import annotations

import os
from collections.abc import Callable

import structlog

from shared.errors import Outage
from shared.filecache.entries import Wanted, hash_of
from shared.store import ObjectStore

log = structlog.get_logger()


class WrongContent(Outage):
    """The store holds something else under the name of a content, and did so when it was asked once more."""


def download(store: ObjectStore, wanted: Wanted, part: int, check: Callable[[], None]) -> int:
    """Fill an open file with the object, from its end on (an HTTP range); returns the bytes that came.

    A connection that is lost goes on as long as something comes; content that is wrong at the end is fetched once more
    from the beginning. `check` is called between pieces and may raise: what is there stays.

    Raises:
        WrongContent: it is still wrong.
        NotFound: there is no such object.
        Outage: the store is away.
        OSError: the disk takes no more.
    """
    came = 0
    for _ in range(2):
        came += _fill(store, wanted, part, check)
        if os.fstat(part).st_size == wanted.size and hash_of(part).hexdigest() == wanted.sha256:
            return came
        log.warning("cache.wrong_content", object=wanted.object, size=os.fstat(part).st_size)
        os.ftruncate(part, 0)
    raise WrongContent(f"object store: {wanted.object} is not what was committed")


def _fill(store: ObjectStore, wanted: Wanted, part: int, check: Callable[[], None]) -> int:
    """Append what is missing, until nothing more comes."""
    came = 0
    while (there := os.lseek(part, 0, os.SEEK_END)) < wanted.size or not there:
        got = 0
        try:
            for piece in store.stream(wanted.object, there):
                check()
                _write(part, piece)
                got += len(piece)
                if there + got > wanted.size:
                    break
        except Outage as outage:
            if not got:
                raise
            log.info("cache.cut_off", object=wanted.object, at=there + got, error=str(outage))
        came += got
        if not got:
            break
    return came


def _write(part: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(part, left) :]
