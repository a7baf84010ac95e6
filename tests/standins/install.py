"""Puts the stand-ins on a PATH under the real ones' names, and reads what they noted."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.stack import ROOT
from tests.standins.engines import MANNERS

NAMES = {"tgi": "text-generation-launcher", "vllm": "vllm"}
SCRIPT = """#!{python}
import sys
sys.path.insert(0, {root!r})
from tests.standins.{module} import main
main()
"""


@dataclass
class Standins:
    """What the stand-ins noted, and how they are to behave from the next start on."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def behave(self, **manners: Any) -> None:
        self.monkeypatch.setenv(MANNERS, json.dumps({"folder": str(self.folder), **manners}))

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines("starts")]

    @property
    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._lines("requests")]

    @property
    def most_at_once(self) -> int:
        return max(map(int, self._lines("running")))

    @property
    def ends(self) -> list[str]:
        return self._lines("ends")

    @property
    def pids(self) -> list[int]:
        """Of every engine and shard that was ever started."""
        return [start["pid"] for start in self.starts] + [int(line) for line in self._lines("shards")]

    def _lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []


def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Standins:
    """Both stand-ins, first on this process's PATH."""
    programs, noted = tmp_path / "bin", tmp_path / "noted"
    programs.mkdir()
    noted.mkdir()
    for module, name in NAMES.items():
        script = programs / name
        script.write_text(SCRIPT.format(python=sys.executable, root=str(ROOT), module=module))
        script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    made = Standins(noted, monkeypatch)
    made.behave()
    return made
