"""What a training's metrics say of itself, in words: how fast it was, and what became of it on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.api.pages.wording import duration

Facts = tuple[tuple[str, str], ...]


def facts(metrics: Mapping[str, Any]) -> Facts:
    """Labels and their values, of a training's metrics; none of another stage's, or where they were not kept yet."""
    return (*_speed(metrics.get("speed", {})), *_retry(metrics.get("memory_retry", {})))


def _speed(speed: Mapping[str, Any]) -> Facts:
    if not speed:
        return ()
    devices = "" if speed["devices"] == 1 else f"{speed['devices']} × "
    what, steps = ("Trained on", f"{speed['steps']:,} steps in ") if "steps" in speed else ("Computed on", "")
    found = [(what, f"{devices}{speed['device']}, {steps}{duration(speed['seconds'])}")]
    rates = f"{_number(speed['tokens_per_second'])} tokens and {_number(speed['samples_per_second'])} examples a second"
    if "mfu" in speed:
        rates += f"; {speed['mfu']:.1%} of the device's peak (MFU)"
    found.append(("Speed", rates))
    found.append(("Memory at most", f"{speed['peak_memory_bytes'] / 1e9:.3g} GB"))
    return tuple(found)


def _retry(retry: Mapping[str, Any]) -> Facts:
    if not retry:
        return ()
    batch, times = retry["per_device_train_batch_size"], retry["gradient_accumulation_steps"]
    words = f"after step {retry['after_step']}: once more with {batch} examples at a time, {times} times a step"
    return (("Ran out of memory", f"{words}, which is as many in each step as before"),)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
