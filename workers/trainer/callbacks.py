"""What a training says and saves while TRL's loop runs."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from accelerate.utils import broadcast_object_list, wait_for_everyone
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from shared.errors import PermanentError
from shared.trials import steps_at
from workers.trainer.job import CHECKPOINTS, STATES
from workers.trainer.messages import Kept, Message, Progress, Saved
from workers.trainer.overlap import Writer

PROGRESS_EVERY = 0.2
LARGEST_SHARE = 0.02
"""Of a training's time that saving it takes at most: a large model's checkpoint takes longer than it would save."""


class Reporter(TrainerCallback):
    """Sends progress, and every logged row."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self._send = send
        self._sent = 0.0

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if logs and "loss" in logs:
            row = {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
            self._send(Progress(step=state.global_step, total=state.max_steps, row=row))
            self._sent = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if time.monotonic() - self._sent > PROGRESS_EVERY:
            self._send(Progress(step=state.global_step, total=state.max_steps))
            self._sent = time.monotonic()


class Checkpointer(TrainerCallback):
    """Saves every `seconds`, at a step that logs: what is averaged between two logs would be lost by a resumption.

    Less often where that takes more than LARGEST_SHARE of the time, by how long the last one took; 0 is every step that
    logs, whatever it takes. While there is a file `asked`, it saves at the next step, whichever that is: who asks is
    about to end the training. What `writer` has is waited for before the weights change, or at once for who asks.
    """

    def __init__(self, seconds: float, send: Callable[[Message], None], asked: Path, writer: Writer) -> None:
        self._seconds = seconds
        self._send = send
        self._asked = asked
        self._writer = writer
        self._written: Saved | None = None
        self._saved = self._stepped = time.monotonic()
        self._took = 0.0

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._saved = time.monotonic()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        at_log = state.global_step % int(state.logging_steps) == 0
        pause = max(self._seconds, self._took / LARGEST_SHARE) if self._seconds else 0.0
        self._stepped = time.monotonic()
        timed = at_log and self._stepped - self._saved >= pause
        due = (timed or self._asked.exists()) and state.global_step < state.max_steps
        if args.world_size > 1:
            agreed = [due]
            broadcast_object_list(agreed)
            due = agreed[0]
        control.should_save = due

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        folder = Path(CHECKPOINTS) / f"{PREFIX_CHECKPOINT_DIR}-{state.global_step}"
        # Every rank writes files of its own.
        wait_for_everyone()
        self._written = Saved(step=state.global_step, folder=str(folder))
        if self._asked.exists() or not self._writer.busy:
            self._finish()
        if state.is_world_process_zero:
            self._asked.unlink(missing_ok=True)
        self._saved = time.monotonic()
        self._took = self._saved - self._stepped

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        started = time.monotonic()
        self._finish()
        self._took += time.monotonic() - started

    def on_train_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._finish()

    def _finish(self) -> None:
        """Say so once all of the last checkpoint is written."""
        written, self._written = self._written, None
        if written is not None:
            self._writer.finish()
            self._send(written)


class StateKeeper(TrainerCallback):
    """Keeps the states before the end that are tried. `save` writes the model as it is into a folder.

    Each at the beginning of the next step, when its own has been logged; whoever goes on from that very step's
    checkpoint begins it again.
    """

    def __init__(self, states: int, save: Callable[[Path], None], send: Callable[[Message], None], root: Path) -> None:
        self._states = states
        self._save = save
        self._send = send
        self._root = root
        self._at: dict[int, int] = {}

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.max_steps < self._states:
            raise PermanentError(
                f"checkpoints: {self._states} of a training of {state.max_steps} steps; write fewer, or train longer"
            )
        early = steps_at(state.max_steps, self._states)[:-1]
        self._at = {step: number for number, step in enumerate(early, start=1)}

    def on_step_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        number = self._at.get(state.global_step)
        if number is None or not state.is_world_process_zero:
            return
        folder = f"{STATES}/{number}"
        self._save(self._root / folder)
        self._send(Kept(number=number, folder=folder))


class TokenCount(TrainerCallback):
    """Counts on after a resumption: TRL's own count of trained tokens starts at nought in every process."""

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        counted = [row["num_tokens"] for row in state.log_history if "num_tokens" in row]
        self._trainer._total_train_tokens = counted[-1] if counted else 0
