"""An evaluation protocol is one file and one line in the registry: this adds one, plans with it and makes its rows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

BREVITY = """
from typing import Literal
from shared import records
from shared.protocols.base import Evaluation

class Brevity(Evaluation):
    protocol: Literal["brevity"]

    def temperatures(self):
        return [0.0]

    def plan(self, build, arm, temperature):
        return build.judge("brevity", {}, {"samples": build.samples(arm, temperature)}, None)

    @classmethod
    def rows(cls, tables, params, verdicts):
        rows = [{"prompt_id": row["prompt_id"], "score": 100.0 / (1 + len(row["completion"])), "valid": True}
                for row in tables["samples"].to_pylist()]
        return records.from_rows(rows, records.JUDGEMENTS)
"""

USE = """
from shared.protocols import PROTOCOLS
from brevity import Brevity
PROTOCOLS["brevity"] = Brevity

from shared import records
from shared.plan.experiment import plan
from tests.unit.specs import resolved, spec_with

spec = spec_with(evaluations={"short": {"protocol": "brevity"}}, primary={"evaluation": "short@0.0"})
made = plan(resolved(spec))
judged = [stage for stage in made.stages.values() if stage.kind == "judge"]
assert len(judged) == 6 and all(stage.params == {"protocol": "brevity"} for stage in judged)
samples = records.from_rows([{"prompt_id": "p", "completion": "abc"}], records.COMPLETIONS)
rows = PROTOCOLS["brevity"].rows({"samples": samples}, {}, [])
assert rows["score"].to_pylist() == [25.0]
assert "short@0.0" in made.stages[made.report].params["evaluations"]
"""


def test_one_file_and_one_registration_add_a_protocol(tmp_path: Path) -> None:
    (tmp_path / "brevity.py").write_text(BREVITY)
    path = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n"
    done = subprocess.run([sys.executable, "-c", path + USE], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
