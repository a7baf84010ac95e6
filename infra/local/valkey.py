"""`python -m infra.local.valkey FOLDER`: the embedded Redis, at the address and password of TOUCHSTONE_REDIS_URL."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import unquote, urlsplit

from infra.local.one_server import become, own
from infra.local.programs import valkey_program

DATABASES = 1024


def configuration(url: str, folder: Path) -> str:
    """The server's configuration: loopback only, every key on disk within a second."""
    address = urlsplit(url)
    return "\n".join(
        (
            "bind 127.0.0.1",
            f"port {address.port}",
            f"requirepass {_quoted(unquote(address.password or ''))}",
            f"databases {DATABASES}",
            f"dir {_quoted(str(folder))}",
            "appendonly yes",
            "appendfsync everysec",
            'save ""',
            "maxmemory 512mb",
            "maxmemory-policy noeviction",
            "",
        )
    )


def _quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Become the server."""
    folder = Path(sys.argv[1]).resolve()
    own(folder)
    text = configuration(os.environ["TOUCHSTONE_REDIS_URL"], folder).encode()
    # By standard input, so that the password is neither in a file nor in the list of processes.
    reading, writing = os.pipe()
    os.write(writing, text)
    os.close(writing)
    os.dup2(reading, 0)
    become([valkey_program(), "-"], {})


if __name__ == "__main__":
    main()
