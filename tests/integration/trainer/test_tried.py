"""Trainings whose states are tried, and those that are one of several."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from services.analyst.tuning.stages import checkpoint_stage
from shared.artifacts import Artifact, CommitRef
from shared.models import add_model
from shared.settings import Settings
from shared.units import Unit
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from tests.integration.trainer.test_faults import running, without_speed

PARAMS: dict[str, Any] = {"method": "sft", "seed": 1, "max_length": 32}
ARGS = {"per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2}


def weights(artifact: Artifact) -> dict[str, torch.Tensor]:
    return dict(AutoModelForCausalLM.from_pretrained(artifact.folder()).state_dict())


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(value, other[name]) for name, value in one.items())


def state(place: Place, unit: Unit, number: int) -> Artifact:
    """One state of a training, as the stage that makes a model of it leaves it."""
    made = place.unit("checkpoint", {"number": number}, training=place.reference(unit))
    assert place.attempt(made, checkpoint_stage).outcome == "committed", place.log(made)
    return place.artifact(made)


@pytest.mark.slow
def test_a_trial_that_diverges_leaves_the_model_that_it_began_with_and_says_so(
    place: Place, base: CommitRef, demonstrations: CommitRef
) -> None:
    params = {**PARAMS, "args": {**ARGS, "num_train_epochs": 12}, "max_loss": 0.001, "checkpoints": 2}
    unit = place.unit("sft", {**params, "trial": True}, base=base, demonstrations=demonstrations)
    assert place.train(unit).outcome == "committed", place.log(unit)
    found = place.artifact(unit)
    assert "the training diverged" in found.manifest.metrics["diverged"]
    assert found.manifest.metrics["examples"] == 24 and found.manifest.metrics["final_loss"] is None
    assert same(weights(found), weights(place.load(base)))
    early = state(place, unit, 1)
    assert "diverged" in early.manifest.metrics and "model.safetensors" in early.manifest.files


@pytest.mark.slow
def test_an_adapter_s_states_are_whole_models_and_change_nothing_of_the_training(
    place: Place, settings: Settings, demonstrations: CommitRef, tmp_path: Any
) -> None:
    sha256 = add_model(place.store, "tiny", tiny.save_model(tmp_path / "uploaded"))
    lora = {"r": 4, "alpha": 8, "dropout": 0.1, "target_modules": "all-linear"}
    params = {**PARAMS, "model": {"uploaded": sha256}, "lora": lora, "args": ARGS}
    unit = place.unit("sft", {**params, "checkpoints": 2}, demonstrations=demonstrations)
    plain = place.unit("sft", params, demonstrations=demonstrations)
    for one in (unit, plain):
        assert place.train(one).outcome == "committed", place.log(one)
    assert same(weights(place.artifact(unit)), weights(place.artifact(plain)))
    early = state(place, unit, 1)
    assert "adapter_model.safetensors" not in early.manifest.files
    assert not same(weights(early), weights(place.artifact(unit)))


@pytest.mark.slow
def test_a_killed_training_has_the_states_of_an_undisturbed_one_which_trains_as_one_that_has_none(
    place: Place, base: CommitRef, demonstrations: CommitRef
) -> None:
    place.settings = place.runner.settings = place.settings.model_copy(update={"checkpoint_seconds": 0.5})
    args = {"per_device_train_batch_size": 8, "max_steps": 300, "learning_rate": 1e-3}
    params = {**PARAMS, "args": args, "checkpoints": 6}
    unit = place.unit("sft", params, base=base, demonstrations=demonstrations)
    with running(place, unit) as training:
        training.kill()
    assert place.train(unit).outcome == "committed", place.log(unit)
    assert "going on from the checkpoint" in place.log(unit)
    assert list(place.store.list(f"scratch/{unit.key}/states/")) == []
    other = place.unit("sft", {**params, "undisturbed": True}, base=base, demonstrations=demonstrations)
    plain = place.unit("sft", {**PARAMS, "args": args}, base=base, demonstrations=demonstrations)
    for one in (other, plain):
        assert place.train(one).outcome == "committed", place.log(one)
    disturbed, undisturbed, alone = (place.artifact(one).manifest for one in (unit, other, plain))
    assert without_speed(disturbed.metrics) == without_speed(undisturbed.metrics)
    hashes = [{name: ref.sha256 for name, ref in one.files.items()} for one in (disturbed, undisturbed, alone)]
    assert hashes[0] == hashes[1]
    assert {name: sha256 for name, sha256 in hashes[0].items() if "/" not in name} == hashes[2]
    assert disturbed.metrics["checkpoints"] == [{"step": step} for step in range(50, 301, 50)]
    assert not any("/" in path.name or path.is_dir() for path in place.artifact(unit).folder().iterdir())
    states = [state(place, unit, number) for number in (1, 2, 6)]
    assert set(states[0].manifest.files) == set(alone.files)
    assert [one.table("loss.parquet").num_rows for one in states] == [50, 100, 300]
    assert same(weights(states[2]), weights(place.artifact(plain)))
    assert not same(weights(states[0]), weights(states[1]))
