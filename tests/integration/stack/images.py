"""What an image would hold and run, read from its Dockerfile and from compose; for tests without a container engine."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[3]
DOCKERFILES = ROOT / "infra" / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
# Every service of compose that is built here, but for `bucket`, which runs once in the conductor's image.
ROLES = sorted(name for name, service in COMPOSE["services"].items() if "build" in service and name != "bucket")


@dataclass(frozen=True)
class Image:
    """One role's Dockerfile: what it copies, installs and runs, and compose's health check of it."""

    role: str
    copies: tuple[tuple[str, ...], ...]
    install: tuple[str, ...]
    command: tuple[str, ...]
    health: tuple[str, ...]
    environment: dict[str, str]
    user: str

    def copy_sources(self, target: Path) -> None:
        """Lay the sources out as the image's build sees them."""
        for *sources, destination in self.copies:
            for source in (path for pattern in sources for path in sorted(ROOT.glob(pattern))):
                to = target / destination
                if source.is_dir():
                    shutil.copytree(source, to, ignore=shutil.ignore_patterns("__pycache__"))
                else:
                    to = to / source.name if destination.endswith("/") else to
                    to.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, to)


def image(role: str) -> Image:
    """Read a role's image."""
    text = (DOCKERFILES / f"{role}.Dockerfile").read_text().replace("\\\n", " ")
    service = COMPOSE["services"][role]
    (install,) = re.findall(r"^RUN (pip install .*)$", text, re.M)
    (command,) = re.findall(r"^CMD (\[.*\])$", text, re.M)
    (user,) = re.findall(r"^USER (.*)$", text, re.M)
    return Image(
        role,
        tuple(tuple(words.split()) for words in re.findall(r"^COPY (.*)$", text, re.M)),
        tuple(shlex.split(install)[2:]),
        tuple(json.loads(command)),
        tuple(service["healthcheck"]["test"][1:]),
        dict(service["environment"]),
        user,
    )
