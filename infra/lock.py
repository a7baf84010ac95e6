"""`python -m infra.lock FILE`: pins every package that the project's extras need, as installed in this environment.

One lock serves every supported Python and system: a package that only some of them need is pinned for all. No hashes
and no local version labels, since torch is one file on a machine with a GPU and another on one without.
`python -m infra.lock --missing` names the packages that only others need, to be installed first.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, distribution
from itertools import product
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = "touchstone-rlaif"
HEAD = """\
# Every package of every extra, pinned; written by `make lock`. Installed without dependencies by `make env`; as
# constraints, `pip install -c requirements.lock .[teacher]` installs one role.
"""
PYTHONS = ("3.11.0", "3.11.9", "3.12.0", "3.13.0", "3.14.0")
SYSTEMS = (("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64"))
SUPPORTED = [
    {
        **{name: str(value) for name, value in default_environment().items()},
        "python_full_version": python,
        "python_version": ".".join(python.split(".")[:2]),
        "sys_platform": platform,
        "platform_system": system,
        "platform_machine": machine,
    }
    for python, (platform, system, machine) in product(PYTHONS, SYSTEMS)
]


@dataclass
class Closure:
    """What a requirement draws in, itself included: versions of what is installed here, names of what is not."""

    versions: dict[str, str] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    _seen: set[tuple[str, str]] = field(default_factory=set)

    @classmethod
    def of(cls, requirement: Requirement) -> Closure:
        closure = cls()
        closure._visit(requirement)
        return closure

    def _visit(self, requirement: Requirement) -> None:
        name = canonicalize_name(requirement.name)
        try:
            dist = distribution(name)
        except PackageNotFoundError:
            self.missing.add(name)
            return
        self.versions[name] = dist.version
        for extra in ("", *requirement.extras):
            if (name, extra) not in self._seen:
                self._seen.add((name, extra))
                for inner in map(Requirement, dist.requires or ()):
                    if applies(inner, extra):
                        self._visit(inner)


def applies(requirement: Requirement, extra: str) -> bool:
    """Whether any supported Python on any supported system needs it."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({**where, "extra": extra}) for where in SUPPORTED)


def pin(name: str, version: str) -> str:
    """`torch`, `2.13.0+cpu` -> `torch==2.13.0`."""
    return f"{name}=={Version(version).public}"


def lock_text(versions: dict[str, str]) -> str:
    """The lock file's content."""
    return HEAD + "".join(f"{pin(name, version)}\n" for name, version in sorted(versions.items()) if name != PROJECT)


def main() -> None:
    """Write the file, or name what is missing."""
    closure = Closure.of(Requirement(f"{PROJECT}[dev]"))
    if sys.argv[1] == "--missing":
        print("\n".join(sorted(closure.missing)))
    elif closure.missing:
        sys.exit(f"error: install first: {' '.join(sorted(closure.missing))}")
    else:
        Path(sys.argv[1]).write_text(lock_text(closure.versions))


if __name__ == "__main__":
    main()
