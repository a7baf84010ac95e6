"""A training in two ranks under a launcher, as on several GPUs: one voice, one result, nobody left behind."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from transformers import AutoModelForCausalLM

from shared.artifacts import CommitRef
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place
from tests.waiting import wait_until
from workers.trainer.job import OUT, ROWS, Job, ModelSource
from workers.trainer.messages import Done, Message, Progress, Saved
from workers.trainer.methods import METHODS
from workers.trainer.process import TrainingProcess, command, environment


@pytest.mark.slow
def test_two_ranks(tmp_path: Path) -> None:
    method = METHODS["dpo"]
    pq.write_table(method.rows([tiny.preferences(240)]), tmp_path / ROWS)
    model = ModelSource(folder=str(tiny.save_model(tmp_path / "model")))
    args = {"per_device_train_batch_size": 5, "num_train_epochs": 4}
    Job(method="dpo", beta=0.1, args=args, model=model, checkpoint_seconds=0.1).write(tmp_path)
    said: list[Message] = []
    with TrainingProcess(command(tmp_path, 2), environment(tmp_path, 1, offline=True)) as process:
        while not (said and isinstance(said[-1], Done)):
            item = process.next(60)
            assert item is not None, "\n".join(process.tail)
            if not isinstance(item, str):
                said.append(item)
        ranks = psutil.Process(process.pid).children(recursive=True)
    wait_until(lambda: not any(rank.is_running() for rank in ranks), 10, "the ranks to end")
    assert all(isinstance(item, Progress | Saved | Done) for item in said)
    done = said[-1]
    assert isinstance(done, Done)
    # 200 pairs, five a rank and step, four times.
    assert (done.metrics["steps"], done.metrics["examples"]) == (80, 200)
    steps = [item.step for item in said if isinstance(item, Progress)]
    assert steps == sorted(steps)
    assert any(isinstance(item, Saved) for item in said)
    AutoModelForCausalLM.from_pretrained(tmp_path / OUT)


@pytest.mark.slow
def test_a_stage_on_two_devices_takes_the_steps_of_one_and_costs_both(
    place: Place, base: CommitRef, demonstrations: CommitRef
) -> None:
    params = {"method": "sft", "seed": 0, "args": {"max_steps": 6, "per_device_train_batch_size": 4}}
    units = [
        place.unit("sft", {**params, "max_length": length}, base=base, demonstrations=demonstrations)
        for length in (32, 33)
    ]
    one, two = units[0], units[1].model_copy(update={"options": {"gpus": 2}})
    for unit in (one, two):
        marker = place.train(unit)
        assert marker.outcome == "committed", marker.message
    metrics = [place.artifact(unit).manifest.metrics for unit in (one, two)]
    assert metrics[0]["steps"] == metrics[1]["steps"] == 6
    assert metrics[0]["epochs"] == metrics[1]["epochs"]
    manifest = place.artifact(two).manifest
    began, ended = (datetime.fromisoformat(when) for when in (manifest.started, manifest.finished))
    # Two devices' seconds, of which there are more than the whole attempt took.
    assert manifest.cost.device_seconds > (ended - began).total_seconds()
