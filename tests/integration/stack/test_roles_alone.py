"""Each role in an environment of its own, as its image has it: the files, the extra, the command, the health check."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from infra.local.ports import free_port
from tests.integration.stack.images import ROLES, Image, image
from tests.stack import Stack
from tests.waiting import wait_until

# Installed with torch by the two roles that compute with it, and by no other.
HEAVY = {"torch", "transformers"}
COMPUTING = {"inference", "trainer"}
# What tells a role of its own apart: nobody else's libraries may have come along.
FOREIGN = {"api": {"trl", "scipy"}, "teacher": {"fastapi", "scipy"}, "conductor": {"openai", "fastapi"}}


def install(made: Image, folder: Path) -> Path:
    """A fresh environment with the image's files installed by the image's own words; returns its `bin`."""
    made.copy_sources(folder / "src")
    venv.create(folder / "venv", with_pip=True)
    subprocess.run(
        # Bytecode is left out for the time that it takes.
        [folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", *made.install],
        cwd=folder / "src",
        check=True,
    )
    return folder / "venv" / "bin"


def installed(bin_folder: Path) -> set[str]:
    code = "import importlib.metadata as m; print(*{d.metadata['Name'].lower() for d in m.distributions()})"
    run = subprocess.run([bin_folder / "python", "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("role", ROLES)
def test_a_role_alone_starts_and_is_healthy(role: str, stack: Stack, tmp_path: Path) -> None:
    made = image(role)
    bin_folder = install(made, tmp_path / "image")
    packages = installed(bin_folder)
    assert packages >= HEAVY if role in COMPUTING else not packages & HEAVY
    assert not packages & FOREIGN.get(role, set())

    flower = str(free_port())
    ports = {"8000": str(stack.api_port), "8900": str(stack.simulator_port), "5555": flower}

    def words(given: tuple[str, ...]) -> list[str]:
        """The image's words, with its own programs, at ports that are free here."""
        program, *rest = given
        for ours, free in ports.items():
            rest = [word.replace(ours, free) for word in rest]
        return [str(bin_folder / program), *rest]

    # Not the checkout's modules, but the installed ones: from a folder that has none.
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    process = stack.start("role", words(made.command), cwd=elsewhere, PYTHONPATH="")
    environment = {**os.environ, **stack.environment, "PYTHONPATH": ""}

    def healthy() -> bool:
        check = subprocess.run(words(made.health), cwd=elsewhere, env=environment, capture_output=True, check=False)
        return check.returncode == 0

    wait_until(lambda: process.poll() is not None or healthy(), 120, f"{role} to be healthy")
    assert process.poll() is None, stack.log("role")[-3000:]
    stack.kill("role")
    wait_until(lambda: not healthy(), 60, f"the health check to notice that {role} is gone")
