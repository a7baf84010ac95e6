"""`python -m infra.lock FILE`: pins every package that the project's extras need, as installed in this environment.

No hashes and no local version labels, since torch is one file on a machine with a GPU and another on one without.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = "touchstone-rlaif"
HEAD = """\
# Every package of every extra, pinned; written by `make lock`. Installed without dependencies by `make env`; as
# constraints, `pip install -c requirements.lock .[teacher]` installs one role.
"""


def needed(requirement: Requirement) -> dict[str, str]:
    """Name to version of everything that a requirement draws in, itself included.

    Raises:
        PackageNotFoundError: something of it is not installed here.
    """
    found: dict[str, str] = {}
    _visit(requirement, found, set())
    return found


def _visit(requirement: Requirement, found: dict[str, str], seen: set[tuple[str, str]]) -> None:
    name = canonicalize_name(requirement.name)
    if all((name, extra) in seen for extra in ("", *requirement.extras)):
        return
    dist = distribution(requirement.name)
    found[name] = dist.version
    for extra in ("", *requirement.extras):
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for text in dist.requires or ():
            inner = Requirement(text)
            if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                _visit(inner, found, seen)


def pin(name: str, version: str) -> str:
    """`torch`, `2.13.0+cpu` -> `torch==2.13.0`."""
    return f"{name}=={Version(version).public}"


def lock_text() -> str:
    """The lock file's content for this environment."""
    found = needed(Requirement(f"{PROJECT}[dev]"))
    del found[PROJECT]
    return HEAD + "".join(f"{pin(name, version)}\n" for name, version in sorted(found.items()))


def main() -> None:
    """Write the file."""
    try:
        Path(sys.argv[1]).write_text(lock_text())
    except PackageNotFoundError as error:
        sys.exit(f"error: {error}; install the project with its extra `dev` first")


if __name__ == "__main__":
    main()
