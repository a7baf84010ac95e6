"""A report of AlpacaEval's recorded labels: ten models as arms, raw, with length control, and as AlpacaEval says it."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from services.analyst.as_json import as_dict
from services.analyst.build import build_report
from services.analyst.preferences import wins
from shared import records
from tests.unit.analyst.fixture import experiment, quickstart
from tests.unit.analyst.lengths.world import inputs_of

DATA = Path(__file__).parents[5] / "shared/data/alpaca_eval"
AGAINST = {"judge": "judge", "reference": "reference", "temperature": 0.7}
EVALUATIONS = {"alpaca": {"protocol": "alpaca_eval", **AGAINST},
               "lc": {"protocol": "length_controlled", "order": "random", **AGAINST}}  # fmt: skip

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="../shared/data is not here")


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    labels = pq.read_table(DATA / "preferences_gpt4.parquet")
    models = pc.unique(labels["generator_2"]).to_pylist()
    spec = quickstart(
        # Recipes that differ, whose judgements are replaced by those models'.
        arms={name: {"sft": {"teacher": "weak-teacher", "fraction": (n + 1) / 20}} for n, name in enumerate(models)},
        evaluations=EVALUATIONS,
        contrasts={"chat": ["gpt4_0314", "text_davinci_001"], "tuned": ["phi-2-dpo", "phi-2-sft"]},
        primary={"contrast": "chat", "evaluation": "alpaca@0.7"},
        prompts={"source": {"world": {"seed": 0}}, "train": 1500, "eval": 805},
    )
    for field in ("preset", "weak", "strong", "critic", "fraction", "rl"):
        del spec[field]
    made = experiment(tmp_path_factory.mktemp("cache"), spec)
    stage = made.plan.stages[made.plan.report]
    for row in stage.params["scores"]:
        of_model = labels.filter(pc.equal(labels["generator_2"], row["arm"]))
        made.commit(stage.inputs[row["input"]], {"judgements.parquet": judgements(of_model)}, {})
    return as_dict(build_report(inputs_of(made)))


def judgements(labels: pa.Table) -> pa.Table:
    columns = labels.to_pydict()
    shares = wins(columns["preference"])
    return records.from_rows(
        [
            {
                "prompt_id": id,
                "completion": own,
                "reference": reference,
                "score": None if np.isnan(share) else 100 * float(share),
                "valid": not np.isnan(share),
            }
            for id, own, reference, share in zip(
                columns["id"], columns["output_2"], columns["output_1"], shares, strict=True
            )
        ],
        records.JUDGEMENTS,
    )


def test_the_published_win_rates_come_out_to_every_digit(report: dict[str, Any]) -> None:
    published = {row["model"]: row for row in csv.DictReader((DATA / "published_win_rates.csv").open())}
    assert len(report["arms"]) == 10
    for name, arm in report["arms"].items():
        (found,) = arm["evaluations"]["alpaca@0.7"]["alpaca_eval"].values()
        for field in ("win_rate", "standard_error", "n_wins", "n_wins_base", "n_draws", "n_total"):
            assert found[field] == pytest.approx(float(published[name][field]), rel=1e-12), (name, field)
        assert arm["evaluations"]["alpaca@0.7"]["estimate"] == pytest.approx(found["win_rate"])


def test_length_control_brings_models_that_are_longer_down_and_names_what_reads_otherwise(
    report: dict[str, Any],
) -> None:
    controlled = report["lengths"]["controlled"]["lc@0.7"]
    assert controlled["raw"] == "alpaca@0.7" and controlled["common_slope"] > 0.5
    for name, arm in controlled["arms"].items():
        raw, at_equal = arm["raw"]["estimate"], arm["controlled"]["estimate"]
        if arm["length_ratio"] > 1.5:
            assert at_equal < raw, name
        assert arm["raw"]["estimate"] == pytest.approx(report["arms"][name]["evaluations"]["alpaca@0.7"]["estimate"])
    chat = report["contrasts"]["chat"]
    assert chat["alpaca@0.7"]["length_ratio"] > 2 and chat["lc@0.7"]["estimate"] < chat["alpaca@0.7"]["estimate"]
    assert chat["lc@0.7"]["interval"][0] > 0, "gpt4 is better than davinci-001 at equal length too"
