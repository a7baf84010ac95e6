"""When a training saves itself: at steps that log, after a pause, and less often where saving takes long."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from workers.trainer import callbacks
from workers.trainer.callbacks import LARGEST_SHARE, Checkpointer
from workers.trainer.messages import Message, Saved
from workers.trainer.overlap import Writer


def saves(
    folder: Path, patch: pytest.MonkeyPatch, seconds: float, step_seconds: float, save_seconds: float
) -> list[int]:
    """The steps of 200 at which a training saves itself that logs every second step."""
    clock = [0.0]
    patch.setattr("workers.trainer.callbacks.time", SimpleNamespace(monotonic=lambda: clock[0]))
    patch.setattr(callbacks, "wait_for_everyone", lambda: None)
    said: list[Message] = []
    args = TrainingArguments(output_dir=str(folder), use_cpu=True)
    state, control = TrainerState(max_steps=200, logging_steps=2), TrainerControl()
    callback = Checkpointer(seconds, said.append, folder / "save", Writer())
    callback.on_train_begin(args, state, control)
    for step in range(1, 201):
        clock[0] += step_seconds
        state.global_step = step
        callback.on_step_end(args, state, control)
        if control.should_save:
            clock[0] += save_seconds
            callback.on_save(args, state, control)
    return [message.step for message in said if isinstance(message, Saved)]


def test_a_training_is_saved_at_the_first_logging_step_after_the_pause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert saves(tmp_path, monkeypatch, 60.0, 2.6, 0.1) == [24, 48, 72, 96, 120, 144, 168, 192]


def test_what_takes_long_to_save_is_saved_less_often(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = saves(tmp_path, monkeypatch, 60.0, 2.6, 5.0)
    assert found == [24, 122]
    assert 5.0 / (2.6 * (found[1] - found[0])) <= LARGEST_SHARE


@pytest.mark.parametrize("asked", [True, False])
def test_a_checkpoint_is_told_of_once_it_is_whole_and_who_asks_need_not_wait_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    monkeypatch.setattr(callbacks, "wait_for_everyone", lambda: None)
    said: list[Message] = []
    written: list[str] = []
    args = TrainingArguments(output_dir=str(tmp_path), use_cpu=True)
    state, control = TrainerState(max_steps=9, logging_steps=1, global_step=4), TrainerControl()
    writer = Writer()
    callback = Checkpointer(60.0, lambda message: said.append(message) if written else None, tmp_path / "save", writer)
    if asked:
        (tmp_path / "save").touch()
    writer.submit(lambda: written.append("weights"))
    callback.on_save(args, state, control)
    assert [type(message) for message in said] == ([Saved] if asked else [])
    assert not (tmp_path / "save").exists()
    callback.on_pre_optimizer_step(args, state, control)
    assert said == [Saved(step=4, folder="checkpoints/checkpoint-4")]


def test_without_a_pause_every_step_that_logs_is_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saves(tmp_path, monkeypatch, 0.0, 2.5, 5.0) == list(range(2, 200, 2))
