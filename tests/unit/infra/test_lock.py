"""The lock covers what pyproject.toml asks for, and this environment is the one that it describes."""

from __future__ import annotations

import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from infra.lock import PROJECT, Closure, applies, pin

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PYPROJECT["project"]["optional-dependencies"]
LINES = [line for line in (ROOT / "requirements.lock").read_text().splitlines() if not line.startswith("#")]
PINS = {canonicalize_name(Requirement(line).name): Requirement(line) for line in LINES}


def pinned(name: str) -> str:
    (specifier,) = PINS[canonicalize_name(name)].specifier
    assert specifier.operator == "=="
    return specifier.version


def of_this_machines_torch() -> set[str]:
    """What this build of torch alone needs, as CUDA's packages: the lock, which is for every build, has none of it."""
    return set(Closure.of(Requirement("torch")).versions) - set(PINS)


@pytest.mark.parametrize("extra", ["", *EXTRAS])
def test_the_lock_satisfies_every_requirement_of_an_extra(extra: str) -> None:
    for text in EXTRAS[extra] if extra else PYPROJECT["project"]["dependencies"]:
        requirement = Requirement(text)
        if requirement.name == PROJECT:
            assert requirement.extras <= set(EXTRAS)
            continue
        assert canonicalize_name(requirement.name) in PINS, f"{text} is not in requirements.lock: run `make lock`"
        assert requirement.specifier.contains(pinned(requirement.name)), f"{text}: run `make lock`"


@pytest.mark.parametrize("extra", list(EXTRAS))
def test_what_those_draw_in_is_locked_too(extra: str) -> None:
    closure = Closure.of(Requirement(f"{PROJECT}[{extra}]"))
    assert closure.missing == set()
    assert set(closure.versions) - {PROJECT} - of_this_machines_torch() <= set(PINS)


def test_the_lock_has_nothing_that_no_extra_needs() -> None:
    needed = set(Closure.of(Requirement(f"{PROJECT}[dev]")).versions)
    assert set(PINS) == needed - {PROJECT} - of_this_machines_torch()


def test_what_another_supported_python_or_system_needs_is_locked_for_all() -> None:
    assert applies(Requirement("x; python_full_version < '3.11.3'"), "")
    assert applies(Requirement("x; sys_platform == 'darwin' and python_version >= '3.13'"), "")
    assert not applies(Requirement("x; sys_platform == 'win32'"), "")
    assert not applies(Requirement("x; extra == 'docs'"), "")
    assert applies(Requirement("x; extra == 'docs'"), "docs")


def test_this_environment_has_the_locked_versions() -> None:
    differing = {name: version(name) for name in PINS if Version(version(name)).public != pinned(name)}
    assert differing == {}


def test_the_lock_names_no_build_for_one_machine_alone() -> None:
    assert [line for line in LINES if any(mark in line for mark in ("+", "@", "--hash", "://"))] == []


def test_a_pin_drops_the_local_label() -> None:
    assert pin("torch", "2.13.0+cpu") == "torch==2.13.0"
