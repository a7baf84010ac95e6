"""The training stages of every control and of a second round, through the worker, from one start and its pairs."""

from __future__ import annotations

from typing import Any

import pytest

from shared.artifacts import CommitRef
from shared.plan.experiment import plan
from shared.plan.model import Stage
from tests.integration.trainer.place import Place
from tests.unit.specs import resolved, spec_with

ARGS = {"max_steps": 3, "per_device_train_batch_size": 4, "learning_rate": 1e-2}
CONTROLS = [
    pytest.param({"kind": "sft_on_chosen"}, "sft", 20, marks=pytest.mark.slow),
    pytest.param({"kind": "best_of_n", "n": 3}, "sft", 20, marks=pytest.mark.slow),
    ({"kind": "swap", "teacher": "strong"}, "sft", 24),
    ({"kind": "random_labels"}, "rl", 20),
    pytest.param({"kind": "length_matched", "within": 0.3}, "rl", 14, marks=pytest.mark.slow),
]
"""With the rows that each trains on, of the tiny pairs and demonstrations."""


def planned(**changes: Any) -> list[Stage]:
    """The training stages of the arm `other`, as planned."""
    spec = spec_with(**changes, defaults={"sft": ARGS, "rl": ARGS})
    made = plan(resolved(spec))
    report = made.stages[made.report]
    return [made.stages[report.inputs[row["input"]]] for row in report.params["training"] if row["arm"] == "other"]


def trained(place: Place, stage: Stage, **inputs: CommitRef) -> Any:
    """The committed outcome of a planned stage, on the tiny inputs of the names that it wants."""
    wanted = {name: inputs[name] for name in stage.inputs}
    unit = place.unit(stage.kind, stage.params, **wanted)
    assert place.train(unit).outcome == "committed", place.log(unit)
    return place.artifact(unit)


@pytest.mark.parametrize(("control", "kind", "rows"), CONTROLS, ids=lambda value: str(value))
def test_a_control_trains_as_planned(
    place: Place,
    base: CommitRef,
    demonstrations: CommitRef,
    preferences: CommitRef,
    control: dict[str, Any],
    kind: str,
    rows: int,
) -> None:
    _, stage = planned(arms__other={"control": {"of": "rlaif-weak", **control}})
    assert stage.kind == kind
    found = trained(
        place, stage, base=base, start=base, demonstrations=demonstrations, preferences=preferences
    ).manifest
    assert (found.metrics["steps"], found.metrics["examples"]) == (3, rows)
    assert {"model.safetensors", "loss.parquet"} <= set(found.files)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["kto", "orpo", "cpo", "simpo"])
def test_a_method_trains_as_planned(place: Place, base: CommitRef, preferences: CommitRef, method: str) -> None:
    rl = {"critic": "critic", "method": method}
    _, stage = planned(arms__other={"sft": {"teacher": "weak", "fraction": 0.1}, "rl": rl})
    found = trained(place, stage, start=base, preferences=preferences)
    assert found.manifest.metrics["steps"] == 3
    assert found.table("loss.parquet").num_rows == 3


@pytest.mark.slow
def test_a_second_round_starts_from_the_first(place: Place, base: CommitRef, preferences: CommitRef) -> None:
    rl = {"critic": "critic", "rounds": 2}
    _, first, second = planned(arms__other={"sft": {"teacher": "weak", "fraction": 0.1}, "rl": rl})
    assert second.inputs["start"] == first.key
    once = trained(place, first, start=base, preferences=preferences)
    unit = place.unit(first.kind, first.params, start=base, preferences=preferences)
    twice = trained(place, second, start=place.reference(unit), preferences=preferences)
    logps = [found.manifest.metrics["reference"]["mean_chosen_logp"] for found in (once, twice)]
    assert logps[0] != logps[1], "the reference of a round is the policy that it starts from"
