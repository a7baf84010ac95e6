"""A training that runs out of memory goes on in smaller pieces: the same curve, and everybody is told."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from shared import signals
from shared.artifacts import CommitRef
from shared.trl import USUAL
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.memory import halved
from workers.trainer.messages import Message, Progress, Saved
from workers.trainer.methods import METHODS
from workers.trainer.training import run

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

# A training that has no room for more than four examples, and in whose place there is only what it would say.
CHILD = """
import json, pathlib, sys
from workers.trainer.failures import AfterStep, describe
from workers.trainer.messages import Channel, Done, Progress
folder = pathlib.Path(sys.argv[1])
job = json.loads((folder / "job.json").read_text())
channel = Channel()
channel.send(Progress(step=3, total=9))
if job["args"].get("per_device_train_batch_size", 8) > int(sys.argv[2]):
    try:
        raise AfterStep(3) from MemoryError("no room")
    except AfterStep as error:
        channel.send(describe(error))
    sys.exit(1)
(folder / "out").mkdir()
(folder / "out" / "args.json").write_text(json.dumps(job["args"]))
channel.send(Done(metrics={"steps": 9}))
"""


def only_room_for(examples: int, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [sys.executable, "-c", CHILD]
    monkeypatch.setattr("workers.trainer.stage.command", lambda folder, gpus: [*words, str(folder), str(examples)])


def test_it_is_tried_once_more_and_recorded(
    place: Place, base: CommitRef, demonstrations: CommitRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.context.REPORT_EVERY", 0.0)
    only_room_for(4, monkeypatch)
    unit = place.unit("sft", {"method": "sft", "seed": 0}, base=base, demonstrations=demonstrations)
    assert place.train(unit).outcome == "committed", place.log(unit)
    done = place.artifact(unit)
    smaller = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2}
    assert done.manifest.metrics["memory_retry"] == {**smaller, "after_step": 3}
    assert json.loads(done.path("args.json").read_text()) == smaller
    assert "out of memory after step 3; once more, with per_device_train_batch_size 4" in place.log(unit)
    sent = [signals.decode(fields) for _, fields in place.runner.redis.xrange(signals.STREAM)]
    notes = [str(data["note"]) for kind, data in sent if kind == "progress" and data.get("note")]
    assert notes and notes[-1].startswith("out of memory after step 3; once more")


@pytest.mark.parametrize("args", [{}, {"per_device_train_batch_size": 1}])
def test_it_is_tried_no_second_time(
    place: Place, base: CommitRef, demonstrations: CommitRef, monkeypatch: pytest.MonkeyPatch, args: dict[str, int]
) -> None:
    only_room_for(0, monkeypatch)
    unit = place.unit("sft", {"method": "sft", "seed": 0, "args": args}, base=base, demonstrations=demonstrations)
    marker = place.train(unit)
    assert (marker.outcome, marker.permanent) == ("error", False)
    assert marker.message.startswith("out of memory after step 3: lower per_device_train_batch_size and raise")


def job_in(folder: Path, method: str) -> Job:
    folder.mkdir(parents=True, exist_ok=True)
    start = tiny.save_model(folder / "start", seed=7)
    table = tiny.demonstrations(22) if method == "sft" else tiny.preferences(28)
    pq.write_table(METHODS[method].rows([table]), folder / ROWS)
    args = {"per_device_train_batch_size": 8, "num_train_epochs": 2, "learning_rate": 1e-2}
    beta = None if method == "sft" else 0.1
    return Job(method=method, args=args, beta=beta, seed=3, max_length=32, model=ModelSource(folder=str(start)))


def trained(job: Job, folder: Path) -> tuple[list[float], dict[str, torch.Tensor], list[Message]]:
    said: list[Message] = []
    run(job, folder, said.append)
    losses = [item.row["loss"] for item in said if isinstance(item, Progress) and item.row]
    return losses, load_file(folder / OUT / "model.safetensors"), said


@pytest.mark.parametrize("method", ["sft", "dpo"])
def test_the_curve_and_the_weights_are_those_of_larger_pieces(tmp_path: Path, method: str) -> None:
    """Of SFT also where the last batch of an epoch is not full: DPO's loss is a mean of means there."""
    smaller = halved(job_in(tmp_path / "smaller", method))
    assert smaller is not None
    losses, weights, _ = trained(job_in(tmp_path / "whole", method), tmp_path / "whole")
    again, others, _ = trained(smaller, tmp_path / "smaller")
    assert len(losses) == 6
    assert again == pytest.approx(losses, abs=1e-3)
    for name, value in weights.items():
        assert torch.allclose(value, others[name], atol=2e-3), name


def test_a_checkpoint_of_larger_pieces_is_gone_on_from(tmp_path: Path) -> None:
    job = job_in(tmp_path, "sft")
    losses, _, said = trained(job.model_copy(update={"checkpoint_seconds": 0.0}), tmp_path)
    saved = next(item for item in said if isinstance(item, Saved) and item.step == 3)
    smaller = halved(job)
    assert smaller is not None
    rest, _, _ = trained(smaller.model_copy(update={"resume": saved.folder}), tmp_path)
    assert rest == pytest.approx(losses[3:], abs=1e-3)


def test_trl_s_own_batch_is_what_we_take_it_for() -> None:
    for method in METHODS.values():
        fields = method.classes()[0].__dataclass_fields__
        assert {name: fields[name].default for name in USUAL} == USUAL, method.name


@pytest.mark.parametrize("method", ["grpo", "rloo", "online_dpo", "distill"])
def test_a_batch_that_is_sampled_together_stays_whole(method: str) -> None:
    job = Job(method=method, seed=0, args={"per_device_train_batch_size": 8})
    assert halved(job) is None and halved(job.model_copy(update={"method": "sft"})) is not None
