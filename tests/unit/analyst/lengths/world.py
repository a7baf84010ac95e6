"""A quickstart whose judge likes longer completions, with lengths and levels by arm: the truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import expit

from services.analyst.model import ReportInputs
from services.analyst.params import ReportParams
from services.analyst.reading import read_inputs
from shared import records
from tests.unit.analyst.fixture import Experiment, experiment, quickstart

AGAINST = {"judge": "judge", "reference": "reference", "temperature": 0.7}
WIN_RATE = {"protocol": "pairwise", **AGAINST}
CONTROLLED = {"protocol": "length_controlled", **AGAINST}
MINIMAL = {**CONTROLLED, "length_controlled": "alpaca_eval_minimal"}
ALPACA = {"protocol": "alpaca_eval", **AGAINST}
PRIMARY = {"contrast": "headline", "evaluation": "win-rate@0.7"}

LEVELS = {"sft-strong": 0.2, "rlaif-strong": 0.2, "rlaif-weak": 0.2}
"""Log-odds at equal length; 0 for others."""
LONGER = {"rlaif-weak": 0.6}
"""Mean log ratio to the reference's length; 0 for others."""
SLOPE = 2.0


def controlled_spec(**changes: Any) -> dict[str, Any]:
    """A spec with a raw and a length-controlled evaluation."""
    return quickstart(**{"evaluations": {"win-rate": WIN_RATE, "lc": CONTROLLED}, "primary": PRIMARY, **changes})


def lengthy(
    folder: Path,
    spec: dict[str, Any] | None = None,
    levels: Mapping[str, float] = LEVELS,
    longer: Mapping[str, float] = LONGER,
    prompts: int = 300,
    size: float = 5.0,
) -> Experiment:
    """The experiment with judgements from that world; `size` is the mean logarithm of a completion's characters."""
    made = experiment(folder, spec or controlled_spec())
    report = made.plan.stages[made.plan.report]
    whole = np.random.default_rng(5)
    reference = np.exp(whole.normal(size, 0.4, prompts)).round()
    difficulty = whole.normal(0, 0.7, prompts)
    for table in report.params.get("cells", {"": report.params}).values():
        for row in table["scores"]:
            if row.get("mirrored"):
                # Its opponent's rows, whose completions then stand against the reference's.
                continue
            key, arm = report.inputs[row["input"]], row["arm"]
            rng = np.random.default_rng([row["seed"], *arm.encode()])
            own = (reference * np.exp(longer.get(arm, 0.0) + rng.normal(0, 0.4, prompts))).round()
            linear = levels.get(arm, 0.0) + difficulty + SLOPE * np.tanh((own - reference) / (0.7 * np.exp(size)))
            made.commit(key, {"judgements.parquet": judged(own, reference, expit(linear), rng)}, {})
    return made


def judged(
    own: np.ndarray[Any, Any], reference: np.ndarray[Any, Any], wins: np.ndarray[Any, Any], rng: np.random.Generator
) -> pa.Table:
    """Rows of one order; every 97th has no verdict."""
    rows = []
    for number, (long, of, win) in enumerate(zip(own, reference, wins, strict=True)):
        verdict = "a" if rng.random() < win else "b"
        valid = number % 97 != 5
        rows.append(
            {
                "prompt_id": f"p{number:04}",
                "score": 100.0 * (verdict == "a") if valid else None,
                "valid": valid,
                "completion": "é" * int(long),
                "reference": "r" * int(of),
                "verdict_ab": verdict if valid else "unparsable",
                "order_asked": "ab",
            }
        )
    return records.from_rows(rows, records.JUDGEMENTS)


def inputs_of(made: Experiment, without: tuple[str, ...] = ()) -> ReportInputs:
    return read_inputs(ReportParams.model_validate(made.params), made.artifacts(without))
