"""Checkpoints that are written beside the training hold the step at which they were begun, however late that is."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import LlamaForCausalLM

from tests.integration.trainer.test_methods import job_in
from workers.trainer.failures import AfterStep
from workers.trainer.job import CHECKPOINTS, Job, Lora
from workers.trainer.messages import Message, Progress, Saved
from workers.trainer.methods import METHODS
from workers.trainer.overlap import Writer, overlapping
from workers.trainer.training import run

# TRL asks models for what transformers has renamed.
pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

STEPS = 4
ARGS = {"max_steps": STEPS}


class Late(Writer):
    """Begins to write when it is waited for, and not before."""

    def __init__(self) -> None:
        super().__init__()
        self.waited = threading.Event()

    def submit(self, write: Callable[[], None]) -> None:
        def late() -> None:
            assert self.waited.wait(60)
            write()

        super().submit(late)

    def finish(self) -> None:
        self.waited.set()
        super().finish()
        self.waited.clear()


class AtOnce(Writer):
    """Has written before the step goes on."""

    def submit(self, write: Callable[[], None]) -> None:
        write()


def trained(folder: Path, patch: pytest.MonkeyPatch, writer: type[Writer], method: str) -> list[Message]:
    """What a training says that saves itself at each step but the last."""
    folder.mkdir()
    patch.setattr("workers.trainer.training.Writer", writer)
    said: list[Message] = []
    run(job_in(folder, method, checkpoint_seconds=0.0, args=ARGS), folder, said.append)
    return said


def saved(folder: Path, step: int) -> dict[str, torch.Tensor]:
    """The weights and the optimizer's state of a checkpoint."""
    at = folder / CHECKPOINTS / f"checkpoint-{step}"
    state = torch.load(at / "optimizer.pt", weights_only=True)["state"]
    moments = {f"{number}.{name}": value for number, one in state.items() for name, value in one.items()}
    return load_file(at / "model.safetensors") | moments


@pytest.mark.parametrize("method", ["dpo", "orpo"])
def test_what_is_written_at_the_last_moment_is_what_would_have_been_written_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    late = trained(tmp_path / "late", monkeypatch, Late, method)
    trained(tmp_path / "once", monkeypatch, AtOnce, method)
    assert [item.step for item in late if isinstance(item, Saved)] == list(range(1, STEPS))
    before: dict[str, torch.Tensor] = {}
    for step in range(1, STEPS):
        found, expected = saved(tmp_path / "late", step), saved(tmp_path / "once", step)
        assert found.keys() == expected.keys() and len(found) > 40
        assert all(torch.equal(found[name], expected[name]) for name in expected)
        assert any(not torch.equal(found[name], value) for name, value in before.items()) or step == 1
        before = found


def test_a_training_goes_on_while_its_checkpoint_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    forward = LlamaForCausalLM.forward

    @wraps(forward)
    def noted(*args: Any, **named: Any) -> Any:
        events.append("forward")
        return forward(*args, **named)

    class Noted(Late):
        def submit(self, write: Callable[[], None]) -> None:
            def whole() -> None:
                write()
                events.append("written")

            events.append("given")
            super().submit(whole)

    monkeypatch.setattr(LlamaForCausalLM, "forward", noted)
    said = trained(tmp_path / "late", monkeypatch, Noted, "orpo")
    # Each checkpoint's weights and optimizer are given, the next step begins, and only then are they written.
    assert events == ["forward", *["given", "given", "forward", "written", "written"] * (STEPS - 1)]
    rows = [item for item in said if isinstance(item, Saved) or (isinstance(item, Progress) and item.row)]
    assert [(type(item), item.step) for item in rows[:4]] == [(Progress, 1), (Saved, 1), (Progress, 2), (Saved, 2)]


def test_a_write_that_fails_ends_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("torch.save", full)
    said: list[Message] = []
    with pytest.raises(AfterStep) as failed:
        run(job_in(tmp_path, "orpo", checkpoint_seconds=0.0, args=ARGS), tmp_path, said.append)
    assert isinstance(failed.value.__cause__, OSError) and failed.value.__cause__.errno == errno.ENOSPC
    assert not any(isinstance(item, Saved) for item in said)


def test_adapters_and_what_several_ranks_have_are_written_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = METHODS["sft"].classes()[1]
    plain = Job(method="sft")
    assert overlapping(trainer, plain, Writer()) is not trainer
    assert overlapping(trainer, plain, Writer()).__name__ == trainer.__name__
    for other in ({"lora": Lora()}, {"strategy": "deepspeed"}):
        assert overlapping(trainer, plain.model_copy(update=other), Writer()) is trainer
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert overlapping(trainer, plain, Writer()) is trainer
