"""`python -m infra.local.s3 FOLDER`: the embedded S3 server, at the address and with the keys of TOUCHSTONE_S3_*."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from infra.local.one_server import become, own
from infra.local.programs import rclone_program

HALF_WRITTEN = ".rclone_temp_*"


def sweep(folder: Path) -> int:
    """Remove what a killed server left half written; returns how many files that were."""
    left = list(folder.rglob(HALF_WRITTEN))
    for file in left:
        file.unlink()
    return len(left)


def command(endpoint: str, folder: Path) -> list[str]:
    """The server's command; its keys come by the environment, out of the list of processes."""
    address = urlsplit(endpoint)
    return [
        rclone_program(),
        *("serve", "s3", "--config", "/dev/null", "--addr", f"127.0.0.1:{address.port}"),
        # Without a hash for ETags, which Touchstone does not read, a put need not be read back.
        "--etag-hash=",
        # It compares what it streams with what it writes, both in memory: half of a put's time.
        "--ignore-checksum",
        str(folder),
    ]


def main() -> None:
    """Become the server, with the bucket in place."""
    folder = Path(sys.argv[1]).resolve()
    own(folder)
    sweep(folder)
    (folder / os.environ["TOUCHSTONE_S3_BUCKET"]).mkdir(exist_ok=True)
    keys = f"{os.environ['TOUCHSTONE_S3_ACCESS_KEY']},{os.environ['TOUCHSTONE_S3_SECRET_KEY']}"
    become(command(os.environ["TOUCHSTONE_S3_ENDPOINT"], folder), {"RCLONE_AUTH_KEY": f'"{keys}"'})


if __name__ == "__main__":
    main()
