"""Who imports whom, and who must not load torch."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "services").iterdir() if (path / "__main__.py").exists())
WITHOUT_TORCH = [
    "services.api.app",
    "services.conductor.reconcile",
    "services.teacher.tasks",
    "services.critic.tasks",
    "services.inference.tasks",
    "services.analyst.tasks",
    "services.simulator.app",
    "workers.trainer.__main__",
    "infra.flower",
]


def imports(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def of(folder: str) -> set[str]:
    return set().union(*(imports(path) for path in (ROOT / folder).rglob("*.py")))


def test_shared_imports_no_service_and_no_torch() -> None:
    tops = {name.partition(".")[0] for name in of("shared")}
    assert not tops & {"services", "workers", "infra", "torch", "transformers", "touchstone_client"}


@pytest.mark.parametrize("role", ROLES)
def test_a_service_imports_no_other_service(role: str) -> None:
    others = {name for name in of(f"services/{role}") if name.startswith(("services.", "workers."))}
    assert not {name for name in others if not name.startswith(f"services.{role}")}


def test_the_client_imports_nothing_of_the_server() -> None:
    tops = {name.partition(".")[0] for name in of("client")}
    assert not tops & {"shared", "services", "workers", "infra"}


@pytest.mark.parametrize("module", WITHOUT_TORCH)
def test_a_process_that_needs_no_torch_does_not_load_it(module: str) -> None:
    code = f"import {module}, sys; sys.exit(', '.join({{'torch', 'transformers', 'trl'}} & set(sys.modules)) or 0)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
