"""alpaca_eval's own `length_controlled_minimal`, in an environment that has it: `<script> ASKED TOLD`, both JSON.

ASKED has tables by name: `preference` (1..2, null where there is none), `length_1` and `length_2` in characters. TOLD
gets `win_rate`, `standard_error`, `n_total`, `discrete_win_rate` and `length_controlled_winrate` by name.
"""

# mypy: ignore-errors
from __future__ import annotations

import json
import sys
import tempfile
import warnings
from pathlib import Path

import pandas as pd
from alpaca_eval.metrics import glm_winrate

KEYS = ("win_rate", "standard_error", "n_total", "discrete_win_rate", "length_controlled_winrate")


def main(asked: Path, told: Path) -> None:
    tables = json.loads(asked.read_text())
    with tempfile.TemporaryDirectory() as folder:
        most = max(len(table["preference"]) for table in tables.values())
        _without_difficulties(Path(folder) / "difficulties.csv", most)
        told.write_text(json.dumps({name: _winrate(table) for name, table in tables.items()}))


def _without_difficulties(path: Path, prompts: int) -> None:
    """It downloads prompts' difficulties before it looks whether the formula has them; the minimal one has not."""
    pd.DataFrame({"model": "none", "index": range(prompts), "instruction_difficulty": 0.0}).to_csv(path, index=False)
    glm_winrate.hf_hub_download = lambda **_: str(path)


def _winrate(table: dict[str, list]) -> dict[str, float]:
    rows = pd.DataFrame(
        {
            "preference": pd.array(table["preference"], dtype="float64"),
            "output_1": ["x" * length for length in table["length_1"]],
            "output_2": ["x" * length for length in table["length_2"]],
            "generator_1": "reference",
            "generator_2": "model",
        }
    )
    rows.index.name = "index"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = glm_winrate.get_length_controlled_winrate(
            rows, glm_name="length_controlled_minimal", save_weights_dir=None, is_warn_extreme_changes=False
        )
    return {key: float(found[key]) for key in KEYS}


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
