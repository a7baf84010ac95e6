"""Trainings whose ranks share the model: they learn what one process learns, and go on where they were."""

from __future__ import annotations

import signal

import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from shared.artifacts import CommitRef
from shared.settings import Settings
from shared.units import Unit
from tests.integration.trainer.place import Place
from tests.integration.trainer.test_faults import alive, running
from tests.waiting import wait_until

SHARED = {"gpus": 2, "strategy": "fsdp"}
ARGS = {"per_device_train_batch_size": 4, "max_steps": 12, "learning_rate": 1e-2, "gradient_checkpointing": True}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A checkpoint at every step."""
    return settings.model_copy(update={"checkpoint_seconds": 0.0})


def curve(place: Place, unit: Unit) -> list[float]:
    table: pa.Table = place.artifact(unit).table("loss.parquet")
    return [float(loss) for loss in table["loss"].to_pylist()]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_ranks_with_a_share_of_the_model_each_learn_what_one_process_does(
    place: Place, base: CommitRef, preferences: CommitRef
) -> None:
    """DPO, whose reference is shared too; killed at half, and gone on with from the checkpoint."""
    params = {"method": "dpo", "seed": 1, "beta": 0.1, "args": ARGS}
    one = place.unit("rl", params, start=base, preferences=preferences)
    two = place.unit("rl", {**params, "max_length": 64}, start=base, preferences=preferences)
    two = two.model_copy(update={"options": SHARED})
    assert place.train(one).outcome == "committed", place.log(one)
    with running(place, two) as launcher:
        ranks = launcher.children(recursive=True)
        launcher.send_signal(signal.SIGKILL)
    assert place.markers(two)[-1].outcome == "error"
    wait_until(lambda: not any(alive(rank) for rank in ranks), 30, "the ranks to end")
    assert place.train(two).outcome == "committed", place.log(two)
    assert "going on from the checkpoint of step" in place.log(two)

    assert curve(place, two) == pytest.approx(curve(place, one), abs=1e-4)
    weights = [load_file(place.artifact(unit).path("model.safetensors")) for unit in (one, two)]
    assert weights[0].keys() == weights[1].keys()
    for name, value in weights[0].items():
        assert torch.allclose(value, weights[1][name], atol=1e-4), name
    metrics = [place.artifact(unit).manifest.metrics for unit in (one, two)]
    assert [found["parameters"] for found in metrics] == [metrics[0]["parameters"]] * 2
    assert metrics[1]["reference"]["largest_difference"] < 1e-4
    AutoModelForCausalLM.from_pretrained(place.artifact(two).folder())


def test_a_trainer_without_deepspeed_says_so(place: Place, base: CommitRef, demonstrations: CommitRef) -> None:
    unit = place.unit("sft", {"method": "sft", "seed": 0, "args": ARGS}, base=base, demonstrations=demonstrations)
    marker = place.train(unit.model_copy(update={"options": {"gpus": 2, "strategy": "deepspeed"}}))
    assert (marker.outcome, marker.permanent) == ("error", True)
    assert "hardware.strategy: deepspeed is not installed on this trainer" in marker.message
