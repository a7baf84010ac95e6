"""A loss that is no number, or far over where it began, ends a training; a bad batch does not."""

from __future__ import annotations

import pytest
from transformers import TrainerControl, TrainerState, TrainingArguments

from workers.trainer.failures import LossError
from workers.trainer.guard import FACTOR, RECENT, Guard


def watch(losses: list[float], bound: float | None = None, before: tuple[float, ...] = (), **more: float) -> int:
    """Show the guard losses, one a step; returns the steps that it let pass."""
    guard, control, args = Guard(bound), TrainerControl(), TrainingArguments(use_cpu=True, output_dir="unused")
    state = TrainerState(log_history=[{"loss": loss} for loss in before])
    guard.on_train_begin(args, state, control)
    for loss in losses:
        state.global_step += 1
        guard.on_log(args, state, control, logs={"loss": loss, **more})
    return int(state.global_step)


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_no_number_ends_it_at_once_and_says_the_step_and_the_remedy(loss: float) -> None:
    with pytest.raises(LossError, match=rf"the loss is {loss} at step 3: lower learning_rate"):
        watch([1.0, 1.0, loss])


def test_a_gradient_that_is_no_number_will_make_the_weights_none() -> None:
    with pytest.raises(LossError, match="norm of the gradient is nan at step 1"):
        watch([1.0], grad_norm=float("nan"))


def test_a_loss_far_over_the_first_has_diverged() -> None:
    with pytest.raises(LossError, match=rf"diverged: .* is 101 at step {RECENT + 1}, over 100: .*raise max_loss"):
        watch([2.0, *[101.0] * RECENT])


@pytest.mark.parametrize(
    "losses",
    [
        [2.0, *[99.0] * 20],
        [2.0, 480.0, *[2.0] * 8],
        [0.001, *[FACTOR - 1] * 20],
        # IPO's first loss is (1 / 2β)².
        [2500.0, *[20_000.0] * 20],
        [-60.0, *[2900.0] * 20],
    ],
)
def test_what_still_learns_goes_on(losses: list[float]) -> None:
    assert watch(losses) == len(losses)


def test_a_spec_s_own_bound_counts() -> None:
    with pytest.raises(LossError, match="over 3"):
        watch([2.0, *[4.0] * RECENT], bound=3.0)
    assert watch([2.0, *[4.0] * RECENT], bound=5.0) == RECENT + 1


def test_after_a_resumption_the_first_loss_is_still_the_first() -> None:
    with pytest.raises(LossError, match="over 100"):
        watch([90.0, 400.0], before=(2.0, 80.0, 90.0, 90.0))
