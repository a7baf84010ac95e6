"""`python -m infra.local.lifeline`: stops a stack whose owner is gone, however it went.

A `make demo` holds the lock of `Home.owner_lock` as long as it lives; the kernel lets go of it even at a SIGKILL. This
process, one of the stack's own, waits for that lock, and needs no polling and nothing that only Linux has.
"""

from __future__ import annotations

import fcntl

from infra.local.home import Home
from infra.local.lifecycle import shut_down


def main() -> None:
    """Wait for the owner's end, then stop the stack, this process included."""
    home = Home.from_environment()
    with home.owner_lock.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if running := home.running():
            shut_down(home, running)


if __name__ == "__main__":
    main()
