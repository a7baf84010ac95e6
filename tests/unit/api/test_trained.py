"""What a training's page says of its speed and of what became of it."""

from __future__ import annotations

from services.api.pages.trained import facts

SPEED = {
    "device": "NVIDIA H100 80GB HBM3",
    "devices": 2,
    "seconds": 60.0,
    "steps": 1200,
    "samples_per_second": 12.34,
    "tokens_per_second": 45_678.0,
    "peak_memory_bytes": 41_200_000_000,
    "mfu": 0.4123,
}


def test_speed_as_people_read_it() -> None:
    assert facts({"speed": SPEED, "steps": 1200}) == (
        ("Trained on", "2 × NVIDIA H100 80GB HBM3, 1,200 steps in 60 s"),
        ("Speed", "45,678 tokens and 12.3 examples a second; 41.2% of the device's peak (MFU)"),
        ("Memory at most", "41.2 GB"),
    )


def test_what_took_no_step_says_none() -> None:
    speed = {name: value for name, value in SPEED.items() if name not in {"steps", "mfu"}}
    assert facts({"speed": speed})[0] == ("Computed on", "2 × NVIDIA H100 80GB HBM3, 60 s")


def test_nothing_is_said_of_a_peak_that_nobody_knows() -> None:
    speed = {name: value for name, value in SPEED.items() if name != "mfu"} | {"device": "cpu", "devices": 1}
    found = dict(facts({"speed": speed}))
    assert found["Trained on"].startswith("cpu, ") and "MFU" not in found["Speed"]


def test_a_second_try_in_smaller_pieces_is_told() -> None:
    retry = {"per_device_train_batch_size": 4, "gradient_accumulation_steps": 2, "after_step": 3}
    ((label, words),) = facts({"memory_retry": retry})
    assert label == "Ran out of memory"
    assert words.startswith("after step 3: once more with 4 examples at a time, 2 times a step")


def test_a_stage_that_trains_nothing_says_nothing() -> None:
    assert facts({"rows": 3}) == ()
