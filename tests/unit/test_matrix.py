"""A matrix: a cell has the keys of a spec written for it alone, cells share what is the same, nonsense is refused."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from shared.errors import BadInput
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.spec.matrix import cells
from shared.spec.parse import parse_spec
from tests.unit.specs import resolved, spec_with

OTHER = {"base": {"pretrain": {"seed": 7}}, "max_tokens": 16}
JUDGE = {"provider": "simulated", "error_rate": 0.05, "seed": 2}


def matrix(**axes: Any) -> dict[str, Any]:
    """The small spec with a second critic, a second policy where they are an axis, and these axes."""
    spec = spec_with(models__critic2=JUDGE, models__copy=JUDGE, matrix=axes)
    return spec | ({"policies": {**spec["policies"], "other": OTHER}} if "policies" in axes else {})


def kinds(made: Plan) -> Counter[str]:
    return Counter(stage.kind for stage in made.stages.values())


def test_axes_multiply_into_named_cells() -> None:
    spec = parse_spec(matrix(policies=["toy", "other"], critics=["critic"], fractions=[0.1, 0.25]))
    found = cells(spec)
    assert list(found) == [
        "policy=toy,critic=critic,fraction=0.1",
        "policy=toy,critic=critic,fraction=0.25",
        "policy=other,critic=critic,fraction=0.1",
        "policy=other,critic=critic,fraction=0.25",
    ]
    cell = found["policy=other,critic=critic,fraction=0.25"]
    assert {arm.policy for arm in cell.arms.values()} == {"other"}
    assert cell.arms["rlaif-weak"].sft.fraction == 0.25 and cell.arms["sft-weak"].sft.fraction == 1.0
    assert cell.matrix is None


def test_without_a_matrix_the_only_cell_is_the_spec() -> None:
    spec = parse_spec(spec_with())
    assert cells(spec) == {"": spec}


@pytest.mark.parametrize(
    ("axes", "shared"),
    [
        ({"policies": ["toy", "other"]}, {"prompts", "teach"}),
        ({"critics": ["critic", "critic2"]}, {"prompts", "teach", "pretrain", "sft", "sample"}),
        ({"judges": ["critic", "critic2"]}, {"prompts", "teach", "pretrain", "sft", "sample", "label", "rl"}),
        ({"fractions": [0.1, 0.2]}, {"prompts", "teach", "pretrain", "sft"}),
    ],
)
def test_a_cell_is_the_spec_that_one_would_write_for_it(axes: dict[str, Any], shared: set[str]) -> None:
    """Every stage of a cell but the report has the key that it has in a spec without a matrix; cells share the rest."""
    made = plan(resolved(matrix(**axes)))
    alone = []
    for cell in cells(parse_spec(matrix(**axes))).values():
        one = plan(resolved(cell.model_dump(mode="json", exclude_defaults=True)))
        alone.append({key: stage.kind for key, stage in one.stages.items() if key != one.report})
    assert set(made.stages) - {made.report} == set().union(*alone)
    both = set(alone[0]) & set(alone[1])
    assert shared <= {alone[0][key] for key in both}
    assert kinds(made)["judge"] == sum(list(one.values()).count("judge") for one in alone) - len(
        [key for key in both if alone[0][key] == "judge"]
    )


def test_all_prompts_stand_for_the_arms_of_sft_alone() -> None:
    """1.0 leaves an RL step no prompts, so it makes no cell, and no stage either."""
    both = [matrix(fractions=[0.1, 0.5, *more]) for more in ((), (1.0,))]
    assert list(cells(parse_spec(both[1]))) == ["fraction=0.1", "fraction=0.5"]
    made = [plan(resolved(spec)) for spec in both]
    assert set(made[0].stages) - {made[0].report} == set(made[1].stages) - {made[1].report}
    spec = both[1] | {"contrasts": {"mine": ["rlaif-weak", "rlaif-strong"]}}
    spec["arms"] = {name: arm for name, arm in spec["arms"].items() if "rl" in arm}
    spec["primary"] = {"contrast": "mine", "evaluation": "win-rate@0.7"}
    with pytest.raises(BadInput, match=r"matrix\.fractions: 1\.0 stands for the arms of SFT alone"):
        parse_spec(spec)


def test_arms_say_which_cell_they_are_of() -> None:
    made = plan(resolved(matrix(critics=["critic", "critic2"])))
    labels = [stage for stage in made.stages.values() if stage.kind == "label"]
    assert {tuple(stage.arms) for stage in labels} == {
        (f"rlaif-{teacher} [critic={critic}]",) for teacher in ("weak", "strong") for critic in ("critic", "critic2")
    }
    sft = [stage.arms for stage in made.stages.values() if stage.kind == "sft"]
    assert ["sft-weak [critic=critic]", "sft-weak [critic=critic2]"] in sft


def test_the_report_finds_every_cell_s_scores() -> None:
    spec = matrix(policies=["toy", "other"], judges=["critic", "critic2"])
    made, judges = plan(resolved(spec)), parse_spec(spec).models
    report = made.stages[made.report]
    assert set(report.params) == {"spec", "cells", "critics"} and len(report.params["cells"]) == 4
    for cell, table in report.params["cells"].items():
        judge = cell.rpartition("judge=")[2]
        for row in table["scores"]:
            stage = made.stages[report.inputs[row["input"]]]
            assert stage.kind == "judge"
            assert f"{row['arm']} [{cell}]" in stage.arms
            assert stage.params["judge"] == judges[judge].identity()
        assert {entry["judge"] for entry in table["evaluations"].values()} == {judge}


@pytest.mark.parametrize(
    ("axes", "field", "says"),
    [
        ({}, "matrix", "one cell"),
        ({"critics": ["critic"]}, "matrix", "one cell"),
        ({"critics": []}, "matrix.critics", "at least 1"),
        ({"critics": ["critic", "critc2"]}, "matrix.critics", "Did you mean critic2"),
        ({"critics": ["critic", "weak"]}, "matrix.critics", "cannot compare"),
        ({"judges": ["critic", "nobody"]}, "matrix.judges", "not under models"),
        ({"policies": ["toy", "toys"]}, "matrix.policies", "Did you mean toy"),
        ({"policies": ["toy", "toy"]}, "matrix.policies", "twice"),
        ({"fractions": [0.1, 1.0]}, "matrix", "one cell"),
        ({"fractions": [1.0]}, "matrix", "has no cell"),
        ({"fractions": [0.1, 1.0, 1.0, 0.5]}, "matrix.fractions", "twice"),
        ({"fractions": [0.1, 1.5]}, "matrix.fractions.1", "1.0 or less"),
        ({"fractions": [n / 200 for n in range(1, 102)]}, "matrix", "101 cells"),
        ({"fractions": [0.1, 0.101]}, "matrix.fractions", "make the same cell"),
        ({"fractions": [0.1, 0.10000001]}, "matrix.fractions", "make the same cell"),
        ({"fractions": [0.1, 0.001]}, "matrix.fractions", "leaves none"),
        ({"critics": ["critic2", "copy"]}, "matrix.critics", "copy is critic2 by another name"),
        ({"teachers": ["weak"]}, "matrix.teachers", "is not a field"),
    ],
)
def test_a_mistake_names_its_axis(axes: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse_spec(matrix(**axes))
    found = {error.field: str(error) for error in caught.value.errors}
    assert says in found[field]


def test_an_axis_that_changes_nothing_is_refused() -> None:
    spec = matrix(critics=["critic", "critic2"])
    for arm in ("rlaif-weak", "rlaif-strong"):
        del spec["arms"][arm]
    spec["primary"]["contrast"] = "teacher"
    with pytest.raises(BadInput, match=r"matrix.critics: changes nothing"):
        parse_spec(spec)


def test_judges_that_would_make_two_evaluations_one_are_refused() -> None:
    spec = matrix(judges=["critic", "critic2"])
    spec["evaluations"]["again"] = {**spec["evaluations"]["win-rate"], "judge": "critic2"}
    with pytest.raises(BadInput, match=r"matrix.judges: makes evaluations.win-rate and evaluations.again the same"):
        parse_spec(spec)


def test_a_mistake_in_every_cell_is_named_once() -> None:
    spec = matrix(policies=["toy", "other"])
    spec["arms"]["sft-weak"]["sft"]["teacher"] = "weka"
    with pytest.raises(BadInput) as caught:
        parse_spec(spec)
    assert [error.field for error in caught.value.errors] == ["arms.sft-weak.sft.teacher"]


def test_several_policies_need_no_policy_in_the_arms_of_a_matrix_over_them() -> None:
    assert parse_spec(matrix(policies=["toy", "other"]))
    with pytest.raises(BadInput, match=r"arms.sft-weak.policy: is missing"):
        parse_spec(matrix(critics=["critic", "critic2"]) | {"policies": matrix(policies=["toy"])["policies"]})
