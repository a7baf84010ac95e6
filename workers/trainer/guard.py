"""Ends a training whose loss is no number any more, or over its bound: the rest of its steps would be for nothing."""

from __future__ import annotations

import math
from collections import deque
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from workers.trainer.failures import LossError

RECENT = 5
"""Logged losses whose mean is held against the bound: one odd batch ends nothing."""
FACTOR = 50.0
"""The bound where a spec gives none: this many times the first loss, or this itself where that was below 1. No method's
loss comes near it while it still learns: of SFT it would be a worse guess than chance among e^50 tokens."""
FIX = "lower learning_rate, add warmup_steps, or set max_grad_norm"


class Guard(TrainerCallback):
    """Looks at every logged row. `bound` is `max_loss` of the spec, in the loss's own unit."""

    def __init__(self, bound: float | None) -> None:
        self._bound = bound
        self._recent: deque[float] = deque(maxlen=RECENT)

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        # After a resumption these are the rows from before it.
        for row in state.log_history:
            if "loss" in row:
                self._take(float(row["loss"]))

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        for name, said in (("loss", "loss"), ("grad_norm", "norm of the gradient")):
            if name in logs and not math.isfinite(logs[name]):
                raise LossError(f"the {said} is {logs[name]} at step {state.global_step}: {FIX}")
        self._take(float(logs["loss"]))
        mean = sum(self._recent) / len(self._recent)
        if len(self._recent) == RECENT and self._bound is not None and mean > self._bound:
            raise LossError(
                f"the training diverged: the mean of the last {RECENT} losses is {mean:.4g} at step "
                f"{state.global_step}, over {self._bound:.4g}: {FIX}, or raise max_loss"
            )

    def _take(self, loss: float) -> None:
        if self._bound is None:
            self._bound = FACTOR * max(abs(loss), 1.0)
        self._recent.append(loss)
