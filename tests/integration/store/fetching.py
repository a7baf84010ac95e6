"""A process that fetches one file into a cache, says how, and keeps it in use until its standard input ends.

`python -m tests.integration.store.fetching ROOT OBJECT SHA256 SIZE`, with the store in the environment. It waits for a
line on standard input before it begins, so that several can begin at once.
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

import structlog

from shared.filecache import FileCache, Wanted
from shared.settings import get_settings
from shared.store import S3Store


def main() -> None:
    root, name, sha256, size = sys.argv[1:]
    # Its standard output is for the test alone.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    store = S3Store.from_settings(get_settings())
    with closing(FileCache(Path(root))) as cache:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        path = cache.path(store, Wanted(name, sha256, int(size)))
        used = cache.used
        sys.stdout.write(json.dumps({"path": str(path), "hits": used.hits, "came": used.came_bytes}) + "\n")
        sys.stdout.flush()
        sys.stdin.read()


if __name__ == "__main__":
    main()
