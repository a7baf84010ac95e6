"""The stages that gold labels add to a plan, and that they change no other."""

from __future__ import annotations

from typing import Any

from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.spec.parse import parse_spec
from shared.spec.resolve import Resolved
from tests.unit.specs import resolved, spec_with

TRUTH = {"provider": "verifiable", "check": "world", "gold": True}
PEOPLE = {"provider": "recorded", "preferences": "dataset:people", "gold": True, "missing": "drop"}
JUDGED = {"evaluations__win-rate__gold": {"labels": "truth", "n": 20}}


def golden(**changes: Any) -> Plan:
    return plan(resolved(spec_with(models__truth=TRUTH, models__people=PEOPLE, **JUDGED, **changes)))


def gold_of(made: Plan) -> dict[str, Any]:
    found: dict[str, Any] = made.stages[made.report].params["gold"]
    return found


def test_a_check_looks_at_the_samples_that_the_judge_sees_of_the_primarys_arms_alone() -> None:
    before, made = plan(resolved(spec_with(seeds=[0, 1]))), golden(seeds=[0, 1])
    report = made.stages[made.report]
    assert "gold" not in before.stages[before.report].params
    new = set(made.stages) - set(before.stages)
    assert set(before.stages) - {before.report} < set(made.stages), "no other stage's key has changed"
    rows = gold_of(made)["scores"]
    assert {(row["arm"], row["seed"]) for row in rows} == {(a, s) for a in ("rlaif-weak", "sft-strong") for s in (0, 1)}
    assert new - {made.report} == {report.inputs[row["input"]] for row in rows}
    for row in rows:
        gold = made.stages[report.inputs[row["input"]]]
        judge = made.stages[report.inputs[f"judge/{row['arm']}/{row['seed']}/win-rate@0.7"]]
        assert gold.params["judge"] == {"provider": "verifiable", "check": "world"}
        assert all(gold.inputs[name] == judge.inputs[name] for name in ("samples", "reference"))
    assert report.params["critics"]["truth"]["gold"], "and so the judge's own errors are counted by them"


def test_recorded_labels_are_read_whole() -> None:
    spec = parse_spec(
        spec_with(models__people=PEOPLE, **{"evaluations__win-rate__gold": {"labels": "people", "n": 20}})
    )
    data = spec.model_dump(mode="json", exclude_defaults=True) | {"seeds": spec.seeds}
    made = plan(Resolved(spec=data, counts={"train": 100, "dev": 10, "eval": 40, "near_duplicates": 0}))
    stage = made.stages[made.stages[made.report].inputs[gold_of(made)["pairs"]]]
    assert stage.kind == "label" and stage.params["pairs"] == "recorded" and stage.params["per_prompt"] == 1000
    assert gold_of(made)["arms"] == ["rlaif-weak", "sft-strong"]


def test_each_cell_of_a_matrix_has_gold_scores_of_its_own_arms() -> None:
    made = golden(matrix={"fractions": [0.1, 0.3]})
    cells = made.stages[made.report].params["cells"]
    inputs = made.stages[made.report].inputs
    found = {name: [inputs[row["input"]] for row in cell["gold"]["scores"]] for name, cell in cells.items()}
    (few, many) = found.values()
    assert few[0] != many[0] and few[1] == many[1], "the arm of SFT alone is the same in both"
