"""The training stages of every control and of a second round, through the worker, from one start and its pairs."""

from __future__ import annotations

from typing import Any

import pytest

from services.inference.best import best
from services.inference.reward import Raters, reward
from shared import records
from shared.artifacts import CommitRef
from shared.plan.experiment import plan
from shared.plan.model import Plan, Stage
from tests.integration.trainer import tiny
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


@pytest.mark.slow
def test_the_best_by_a_trained_reward_model_from_labels_to_sft(
    place: Place, base: CommitRef, preferences: CommitRef
) -> None:
    """Every stage as planned, through the handlers of both workers."""
    spec = spec_with(
        arms__other={"control": {"kind": "best_of_n", "of": "rlaif-weak", "by": "reward", "n": 2}},
        defaults={"sft": ARGS, "rl": ARGS, "reward": {**ARGS, "max_steps": 30}},
    )
    made = plan(resolved(spec))
    (own,) = [stage for stage in made.stages.values() if stage.kind == "sft" and "best" in kinds(made, stage)]
    kept = made.stages[own.inputs["demonstrations"]]
    scored = made.stages[kept.inputs["rewards"]]
    model = made.stages[scored.inputs["checkpoint"]]
    # Of each prompt an answer as the chosen ones of the pairs, and one as the rejected.
    rows = [
        {"prompt_id": f"p{number}", "prompt": f"say {thing}", "sample_index": index, "completion": f"{thing} {end}"}
        for number, thing in enumerate(tiny.THINGS[:8])
        for index, end in enumerate(("b c", "a"))
    ]
    samples = place.commit("samples", {"completions.parquet": records.from_rows(rows, records.COMPLETIONS)})
    raters = Raters()
    try:
        trained(place, model, start=base, preferences=preferences)
        rater = place.reference(place.unit(model.kind, model.params, start=base, preferences=preferences))
        unit = place.unit("reward", scored.params, checkpoint=rater, completions=samples)
        assert place.attempt(unit, lambda ctx: reward(ctx, raters)).outcome == "committed", place.log(unit)
    finally:
        raters.close()
    picked = place.unit("best", kept.params, samples=samples, rewards=place.reference(unit))
    assert place.attempt(picked, best).outcome == "committed", place.log(picked)
    said = place.artifact(picked).rows()["completion"].to_pylist()
    assert sum(text.endswith(" a") for text in said) >= 7, "the reward model has learned what the critic chose"
    found = trained(place, own, base=base, demonstrations=place.reference(picked))
    assert (found.manifest.metrics["steps"], found.manifest.metrics["examples"]) == (3, 8)


def kinds(made: Plan, stage: Stage) -> set[str]:
    """The kinds of a stage's inputs."""
    return {made.stages[key].kind for key in stage.inputs.values()}
