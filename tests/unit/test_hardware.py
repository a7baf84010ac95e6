from __future__ import annotations

from typing import Any

import pytest

from shared.hardware import divided, layout
from shared.kinds import queue_of
from shared.plan.experiment import plan
from shared.plan.model import Plan
from shared.trl import ACCUMULATION, BATCH
from tests.unit.specs import resolved, spec_with


@pytest.mark.parametrize(
    ("args", "gpus", "rank"),
    [
        ({}, 4, (2, 1)),
        ({BATCH: 4, ACCUMULATION: 8}, 4, (4, 2)),
        ({BATCH: 12, ACCUMULATION: 3}, 4, (3, 3)),
        ({BATCH: 6, ACCUMULATION: 2}, 4, None),
        ({}, 16, None),
    ],
)
def test_the_batch_is_divided_among_the_ranks_and_stays_what_it_was(
    args: dict[str, int], gpus: int, rank: tuple[int, int] | None
) -> None:
    found = divided({"learning_rate": 1.0, **args}, gpus)
    if rank is None:
        assert found is None
        return
    assert found is not None
    assert (found[BATCH], found[ACCUMULATION], found["learning_rate"]) == (*rank, 1.0)
    assert found[BATCH] * found[ACCUMULATION] * gpus == args.get(BATCH, 8) * args.get(ACCUMULATION, 1)


def queues(made: Plan) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for stage in made.stages.values():
        found.setdefault(stage.kind, set()).add(queue_of(stage.kind, stage.options))
    return found


def test_trainings_go_where_their_hardware_is_and_are_the_same_stages() -> None:
    one, four = (plan(resolved(spec_with(policies__toy__hardware={"gpus": gpus}))) for gpus in (1, 4))
    assert queues(one)["sft"] == queues(one)["rl"] == {"trainer"}
    assert queues(four)["sft"] == queues(four)["rl"] == {"trainer.4gpu"}
    # A toy base is made on one.
    assert queues(four)["pretrain"] == {"trainer"}
    assert queues(four)["sample"] == {"inference"}
    # The report shows the spec as it was written.
    assert set(one.stages) - {one.report} == set(four.stages) - {four.report}


def test_that_a_gpu_is_shared_is_told_to_trainings_and_changes_no_stage() -> None:
    alone, shared = (plan(resolved(spec_with(policies__toy__hardware={"share": share}))) for share in (False, True))
    assert {stage.kind for stage in shared.stages.values() if stage.options.get("share")} == {"sft", "rl"}
    assert not any("share" in stage.options for stage in alone.stages.values())
    assert set(alone.stages) - {alone.report} == set(shared.stages) - {shared.report}


def test_a_stage_of_one_gpu_has_no_option_for_it() -> None:
    options: list[dict[str, Any]] = [stage.options for stage in plan(resolved()).stages.values()]
    assert not any("gpus" in one for one in options)


def trained_with(hardware: dict[str, Any], precision: str = "float32") -> Plan:
    return plan(resolved(spec_with(policies__toy__hardware=hardware, policies__toy__precision=precision)))


def keys(made: Plan) -> set[str]:
    return set(made.stages) - {made.report}


def test_a_strategy_changes_no_stage_where_only_sums_come_in_another_order() -> None:
    one, shared = trained_with({}), trained_with({"gpus": 2, "strategy": "deepspeed", "zero_stage": 3})
    assert keys(one) == keys(shared)
    told = {"gpus": 2, "strategy": "deepspeed", "zero_stage": 3}
    trainings = [stage for stage in shared.stages.values() if stage.kind in {"sft", "rl"}]
    assert trainings and all(stage.options.items() >= told.items() for stage in trainings)
    assert queues(shared)["sft"] == {"trainer.2gpu"}


def test_in_bfloat16_a_shared_model_is_another_stage_since_it_rounds_elsewhere() -> None:
    one, shared = trained_with({}, "bfloat16"), trained_with({"gpus": 2, "strategy": "fsdp"}, "bfloat16")
    assert keys(one) == keys(trained_with({"gpus": 2, "strategy": "ddp"}, "bfloat16"))
    changed = [stage for key, stage in shared.stages.items() if key in keys(shared) - keys(one)]
    trainings = [stage for stage in changed if stage.kind in {"sft", "rl"}]
    assert trainings and all(stage.params["strategy"] == "fsdp" for stage in trainings)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({}, "ddp"),
        ({"gpus": 4}, "ddp"),
        ({"gpus": 4, "strategy": "fsdp"}, "fsdp"),
        ({"gpus": 4, "strategy": "deepspeed"}, "deepspeed-2-4"),
        ({"gpus": 2, "strategy": "deepspeed", "zero_stage": 3}, "deepspeed-3-2"),
    ],
)
def test_a_checkpoint_is_for_whoever_lays_it_out_alike(options: dict[str, Any], name: str) -> None:
    assert layout(options) == name
