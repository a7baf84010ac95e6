"""What a stage was made from and into, over an experiment whose stages are all committed to a store in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from services.api.lineage import Lineage, Lineages, ancestors, descendants
from services.api.lineage_schemas import as_answer
from services.api.planned import Planned
from shared.attempts import Attempt
from shared.spec.parse import parse_spec
from shared.units import Unit
from tests.unit.analyst.fixture import Experiment, experiment, quickstart


def rows_of(made: Experiment, missing: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "kind": stage.kind,
            "arms": stage.arms,
            "inputs": sorted(set(stage.inputs.values())),
            "state": "pending" if key in missing else "committed",
        }
        for key, stage in made.plan.stages.items()
        if key != made.plan.report
    ]


@pytest.fixture
def made(tmp_path: Path) -> Experiment:
    return experiment(tmp_path)


@pytest.fixture
def planned(made: Experiment) -> Planned:
    return Planned(parse_spec(quickstart()), made.plan)


def key_of(made: Experiment, kind: str, arm: str) -> str:
    return next(key for key, one in made.plan.stages.items() if one.kind == kind and arm in one.arms)


def found(made: Experiment, planned: Planned, kind: str = "rl", arm: str = "rlaif-weak") -> Lineage:
    lineage = Lineages(made.store).of(rows_of(made), planned, key_of(made, kind, arm))
    assert lineage is not None
    return lineage


def test_an_rl_step_comes_from_prompts_base_teacher_samples_and_labels(made: Experiment, planned: Planned) -> None:
    lineage = found(made, planned)
    kinds = [step.row["kind"] for step in lineage.made_from]
    assert kinds[0] == "prompts" and {"teach", "pretrain", "sft", "sample", "label"} <= set(kinds)
    assert {step.row["kind"] for step in lineage.made_into} == {"sample", "judge"}
    sources = {(one.what, one.name) for one in lineage.sources}
    assert {("prompts", ""), ("teacher", "weak-teacher"), ("critic", "critic"), ("base model", "made on the spot")} <= (
        sources
    )
    assert lineage.reads.keys() == {"start", "preferences"}


def test_every_step_says_when_where_and_by_which_commit_it_was_made(made: Experiment, planned: Planned) -> None:
    answer = as_answer(found(made, planned))
    for step in (answer.stage, *answer.made_from):
        assert step.made is not None
        assert step.made.host and step.made.finished and step.made.versions
        assert step.made.sha256 == made.refs[step.key].sha256
        assert all(len(one.sha256) == 64 for one in step.made.files.values())
    assert answer.stage.made is not None
    read = answer.stage.made.inputs["start"]
    assert read.sha256 == made.refs[read.key].sha256


def test_of_a_stage_that_is_not_there_yet_what_it_would_read_is_shown(made: Experiment, planned: Planned) -> None:
    key = key_of(made, "rl", "rlaif-weak")
    for info in list(made.store.list(f"commits/{key[:2]}/{key}.")):
        made.store.delete([info.name])
    lineage = Lineages(made.store).of(rows_of(made, (key,)), planned, key)
    assert lineage is not None and lineage.stage.commit is None
    assert all(step.commit is not None for step in lineage.made_from)
    assert as_answer(lineage).stage.made is None


def test_attempts_are_told_with_how_they_ended(made: Experiment, planned: Planned) -> None:
    key = key_of(made, "sft", "sft-strong")
    first, second = Attempt(Unit(key=key, kind="sft", params={})), Attempt(Unit(key=key, kind="sft", params={}))
    first.end(made.store, "error", "no memory")
    second.start(made.store)
    told = [(one.outcome, one.message) for one in found(made, planned, "sft", "sft-strong").attempts]
    assert told == [("error", "no memory"), (None, "")]


def test_no_lineage_of_another_experiment_s_stage(made: Experiment, planned: Planned) -> None:
    assert Lineages(made.store).of(rows_of(made), planned, "0" * 64) is None


def test_ancestors_and_descendants_follow_every_edge() -> None:
    edges = {"a": [], "b": ["a"], "c": ["b"], "d": ["a"], "e": ["c", "d"]}
    rows: list[dict[str, Any]] = [{"key": key, "inputs": inputs} for key, inputs in edges.items()]
    assert ancestors({row["key"]: row for row in rows}, "e") == {"a", "b", "c", "d"}
    assert descendants(rows, "b") == {"c", "e"}
