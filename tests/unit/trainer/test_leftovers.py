"""What killed workers left on the disk goes; what a living one holds stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.waiting import wait_until
from workers.trainer.leftovers import LOCK, held, sweep

HOLDER = """
import sys, threading
from pathlib import Path
from workers.trainer.leftovers import held
with held(Path(sys.argv[1])):
    threading.Event().wait()
"""


def test_a_killed_workers_folder_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "attempt"
    folder.mkdir()
    (folder / "checkpoint").write_text("large")
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)]) as holder:
        wait_until((folder / LOCK).exists, 10, "the folder to be held")
        assert sweep(tmp_path) == 0 and folder.exists()
        os.kill(holder.pid, signal.SIGKILL)
    assert sweep(tmp_path) == 1 and not folder.exists()


def test_other_folders_stay(tmp_path: Path) -> None:
    (tmp_path / "of-another-role").mkdir()
    (tmp_path / "held").mkdir()
    with held(tmp_path / "held"):
        assert sweep(tmp_path) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"of-another-role", "held"}
    assert sweep(tmp_path / "missing") == 0
