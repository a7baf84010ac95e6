"""TGI and vLLM as the service starts them on each checkpoint, with stand-ins that speak their real interfaces."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis

from services.inference.clients import prompt_seed, sample_seed
from services.inference.engines.base import Engine, Serving
from services.inference.engines.launched import LaunchedEngine
from services.inference.keeper import Keeper
from shared.artifacts import CommitRef
from shared.machine_lock import wanted
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.inference.place import SAMPLING, Place
from tests.stack import ROOT
from tests.standins.install import Standins, install
from tests.waiting import wait_until

SLOWLY = pytest.mark.slow
TGI_FIRST = pytest.mark.parametrize("engine", ["tgi", pytest.param("vllm", marks=SLOWLY)])
VLLM_FIRST = pytest.mark.parametrize("engine", ["vllm", pytest.param("tgi", marks=SLOWLY)])
PARAMS: dict[str, Any] = {**SAMPLING, "dtype": "bfloat16"}


@pytest.fixture
def standins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Standins]:
    made = install(tmp_path, monkeypatch)
    yield made
    wait_until(lambda: not alive(made), 20, "every engine and shard to be gone")


@pytest.fixture
def here(settings: Settings, store: S3Store, redis_server: redis.Redis, standins: Standins) -> Iterator[Place]:
    settings.engine_grace_seconds = 0.5
    settings.engine_start_seconds = 60
    made = Place(settings, store, redis_server, Keeper(settings))
    yield made
    made.keeper.close()
    made.close()


def alive(standins: Standins) -> list[int]:
    return [pid for pid in standins.pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]


def ignore() -> None:
    return None


def running(keeper: Keeper) -> LaunchedEngine | None:
    engine: Engine | None = keeper.current
    return engine if isinstance(engine, LaunchedEngine) else None


@TGI_FIRST
def test_an_engine_serves_a_checkpoint_until_another_is_wanted(
    here: Place, standins: Standins, model_folder: Path, other_folder: Path, engine: str
) -> None:
    prompts, params = here.prompts(5), {**PARAMS, "engine": engine, "n": 2}
    one = here.unit("sample", params, checkpoint=here.checkpoint(model_folder), prompts=prompts)
    rows = here.rows(one)
    assert [(row["prompt_id"], row["sample_index"]) for row in rows] == [
        (f"p{at}", n) for at in range(5) for n in (0, 1)
    ]
    assert all(row["input_tokens"] > 4 and 1 <= row["output_tokens"] <= 12 for row in rows)
    assert {row["finish_reason"] for row in rows} <= {"stop", "length"}
    seeds = {sample_seed(prompt_seed(0, row["prompt_id"]), row["sample_index"]) for row in rows}
    assert {asked["seed"] for asked in standins.requests} == seeds and len(seeds) == 10
    here.rows(here.unit("sample", {**params, "n": 1}, checkpoint=here.checkpoint(model_folder), prompts=prompts))
    assert len(standins.starts) == 1

    named = {**params, "chat_template": "human_assistant"}
    other = here.rows(here.unit("sample", named, checkpoint=here.checkpoint(other_folder), prompts=prompts))
    assert len(standins.starts) == 2
    assert standins.ends == ["drained True"]
    assert [row["completion"] for row in other] != [row["completion"] for row in rows]
    # As before, whatever ran between: the checkpoint, the prompt and the seed are all that matters.
    again = here.unit("sample", {**params, "top_p": 0.999}, checkpoint=here.checkpoint(model_folder), prompts=prompts)
    assert here.rows(again) == rows


@TGI_FIRST
def test_temperature_zero_is_asked_for_and_depends_on_no_seed(
    here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    given = {"checkpoint": here.checkpoint(model_folder), "prompts": here.prompts(3)}
    greedy = [
        here.rows(here.unit("sample", {**PARAMS, "engine": engine, "temperature": 0.0, "seed": seed}, **given))
        for seed in (0, 1)
    ]
    assert greedy[0] == greedy[1]
    assert {asked["temperature"] for asked in standins.requests} == {0.0}


@SLOWLY
@TGI_FIRST
def test_a_stop_sequence_is_no_part_of_a_completion(
    here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    given = {"checkpoint": here.checkpoint(model_folder), "prompts": here.prompts(12)}
    free = here.rows(here.unit("sample", {**PARAMS, "engine": engine}, **given))
    stopped = here.rows(here.unit("sample", {**PARAMS, "engine": engine, "stop_sequences": ["is"]}, **given))
    assert any("is" in row["completion"] for row in free)
    for row, cut in zip(free, stopped, strict=True):
        assert cut["completion"].strip() == row["completion"].partition("is")[0].strip()
        assert cut["finish_reason"] == ("stop" if "is" in row["completion"] else row["finish_reason"])


@VLLM_FIRST
def test_a_crash_at_the_start_fails_the_stage_with_the_engines_own_last_words(
    here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    standins.behave(crash_at_start="torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.")
    unit = here.unit(
        "sample", {**PARAMS, "engine": engine}, checkpoint=here.checkpoint(model_folder), prompts=here.prompts(1)
    )
    marker = here.run(unit)
    assert (marker.outcome, marker.permanent) == ("error", False)
    assert f"{engine} ended while it started (exit status 1)" in marker.message
    assert "CUDA out of memory" in marker.message
    assert not alive(standins)


@SLOWLY
def test_an_argument_that_the_engine_does_not_know_fails_the_stage_at_once(
    settings: Settings, here: Place, standins: Standins, model_folder: Path
) -> None:
    settings.vllm_args = "--gpu-memory-utilisation 0.5"
    own = Place(settings, here.store, here.runner.redis, Keeper(settings))
    unit = own.unit(
        "sample", {**PARAMS, "engine": "vllm"}, checkpoint=own.checkpoint(model_folder), prompts=own.prompts(1)
    )
    marker = own.run(unit)
    own.keeper.close()
    own.close()
    assert marker.permanent
    assert "unrecognized arguments: --gpu-memory-utilisation" in marker.message


@SLOWLY
def test_an_engine_that_never_answers_is_ended_at_its_deadline(
    settings: Settings, here: Place, standins: Standins, model_folder: Path
) -> None:
    standins.behave(never_ready=True)
    settings.engine_start_seconds = 6
    unit = here.unit(
        "sample", {**PARAMS, "engine": "tgi"}, checkpoint=here.checkpoint(model_folder), prompts=here.prompts(1)
    )
    marker = here.run(unit)
    assert "tgi did not answer within 6 s of its start" in marker.message
    assert "Args {" in marker.message
    assert not alive(standins)


@TGI_FIRST
def test_a_crash_in_the_middle_costs_nothing_but_a_start(
    here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    standins.behave(crash_after=20)
    given = {"checkpoint": here.checkpoint(model_folder), "prompts": here.prompts(60)}
    unit = here.unit("sample", {**PARAMS, "engine": engine}, **given)
    rows = here.rows(unit)
    assert len(standins.starts) == 2
    assert "the engine was lost" in here.log(unit)
    assert "an illegal memory access was encountered" in here.log(unit)
    # The shard of the one that crashed is gone too: it would have held the memory.
    assert standins.starts[0]["pid"] not in alive(standins) and len(alive(standins)) == 2
    undisturbed = here.unit("sample", {**PARAMS, "engine": engine, "top_p": 0.999}, **given)
    assert here.rows(undisturbed) == rows


@SLOWLY
def test_an_engine_that_will_not_die_is_killed_after_its_grace(
    here: Place, standins: Standins, model_folder: Path
) -> None:
    standins.behave(ignores_sigterm=True)
    with here.keeper.engine(Serving("vllm", folder=model_folder), ignore) as engine:
        assert engine.healthy()
    assert len(alive(standins)) == 2
    here.keeper.close()
    assert not alive(standins)


@SLOWLY
def test_a_killed_guard_takes_its_engine_along(here: Place, standins: Standins, model_folder: Path) -> None:
    serving = Serving("tgi", folder=model_folder, dtype="bfloat16")
    with here.keeper.engine(serving, ignore) as engine:
        assert isinstance(engine, LaunchedEngine)
        os.kill(engine.guard_pid, signal.SIGKILL)
    before = standins.pids
    with here.keeper.engine(serving, ignore) as engine:
        assert engine.healthy()
        assert not set(before) & set(alive(standins))


WORKER = """
import pathlib, sys
from services.inference.engines.base import Serving
from services.inference.keeper import Keeper
from shared.logs import configure_logs
from shared.settings import Settings
configure_logs()
keeper = Keeper(Settings(data_dir=pathlib.Path(sys.argv[1])))
serving = Serving(sys.argv[2], folder=pathlib.Path(sys.argv[3]), dtype="bfloat16")
with keeper.engine(serving, lambda: None) as engine:
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("engine", ["tgi", pytest.param("vllm", marks=SLOWLY)])
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=SLOWLY)])
def test_no_process_of_an_engine_outlives_its_worker(
    tmp_path: Path, standins: Standins, model_folder: Path, engine: str, number: signal.Signals
) -> None:
    standins.behave(ignores_sigterm=True, shards=2)
    command = [sys.executable, "-c", WORKER, str(tmp_path / "work"), engine, str(model_folder)]
    worker = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT)
    assert worker.stdout is not None
    assert worker.stdout.readline() == b"ready\n"
    assert len(alive(standins)) == 3
    worker.send_signal(number)
    worker.wait()
    wait_until(lambda: not alive(standins), 20, "the engine and its shards to end")


@SLOWLY
def test_an_engine_whose_turn_is_over_first_finishes_what_it_was_asked(
    settings: Settings, here: Place, standins: Standins, model_folder: Path
) -> None:
    standins.behave(latency=0.3)
    other = Keeper(settings)
    unit = here.unit(
        "sample", {**PARAMS, "engine": "vllm"}, checkpoint=here.checkpoint(model_folder), prompts=here.prompts(3)
    )

    def want() -> None:
        wait_until(lambda: standins.requests, 60, "the first requests")
        with other.engine(Serving("tgi", folder=model_folder, dtype="bfloat16"), ignore) as engine:
            assert engine.healthy()

    thread = threading.Thread(target=want)
    thread.start()
    rows = here.rows(unit)
    thread.join(60)
    other.close()
    assert len(rows) == 3
    assert "the engine was lost" not in here.log(unit)
    assert len(standins.starts) == 2
    assert standins.ends[0] == "drained True"


@SLOWLY
def test_what_a_stage_waits_for_is_said_in_its_state(
    settings: Settings, here: Place, standins: Standins, model_folder: Path
) -> None:
    holder = Keeper(settings)
    unit = here.unit(
        "sample", {**PARAMS, "engine": "vllm"}, checkpoint=here.checkpoint(model_folder), prompts=here.prompts(2)
    )
    thread = threading.Thread(target=lambda: here.run(unit))
    with holder.engine(Serving("tgi", folder=model_folder, dtype="bfloat16"), ignore):
        thread.start()
        wait_until(lambda: wanted(settings.engine_lock), 60, "the stage to want the device")
        wait_until(lambda: "waits for the device" in str(notes(here)), 60, "its reason")
    thread.join(60)
    holder.close()
    assert here.artifact(unit).rows().num_rows == 2


def notes(place: Place) -> list[str]:
    """Why the running stage says that it waits."""
    entries: list[Any] = place.runner.redis.xrange("signals")
    told = [json.loads(fields[b"data"]) for _, fields in entries if fields[b"type"] == b"progress"]
    return [data["note"] for data in told if data.get("note")]


def test_a_worker_without_the_engine_lets_the_stage_wait_and_says_what_it_lacks(
    here: Place, standins: Standins, model_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    unit = here.unit(
        "sample", {**PARAMS, "engine": "tgi"}, checkpoint=here.checkpoint(model_folder), prompts=here.prompts(1)
    )
    marker = here.run(unit)
    assert marker.outcome == "waiting"
    assert "text-generation-launcher cannot be started: No such file or directory" in marker.message
    assert "infra/docker" in marker.message


@SLOWLY
def test_a_specs_and_the_operators_arguments_reach_the_engine(
    settings: Settings, here: Place, standins: Standins, model_folder: Path
) -> None:
    settings.vllm_args = "--swap-space 8"
    own = Place(settings, here.store, here.runner.redis, Keeper(settings))
    given = {"max_model_len": 2048, "enforce_eager": True, "enable_prefix_caching": False}
    unit = own.unit(
        "sample",
        {**PARAMS, "engine": "vllm", "engine_args": given},
        checkpoint=own.checkpoint(model_folder),
        prompts=own.prompts(1),
    )
    own.rows(unit)
    own.keeper.close()
    own.close()
    words = " ".join(standins.starts[0]["argv"])
    assert "--swap-space 8 --no-enable-prefix-caching --enforce-eager --max-model-len 2048" in words


@VLLM_FIRST
def test_prompts_that_do_not_fit_the_context_are_counted_and_left_out(
    here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    standins.behave(context=18)
    rows = [("short", "Why?"), ("full", "one two three four five six"), ("long", "word " * 40)]
    prompts = here.commit_prompts(rows)
    unit = here.unit(
        "sample", {**PARAMS, "engine": engine, "n": 2}, checkpoint=here.checkpoint(model_folder), prompts=prompts
    )
    artifact = here.done(unit)
    assert [row["prompt_id"] for row in artifact.rows().to_pylist()] == ["short", "short"]
    metrics = artifact.manifest.metrics
    assert (metrics["prompts"], metrics["completions"], metrics["too_long"]) == (1, 2, 2)
    assert "2 of 3 prompts are too long for the model's context" in here.log(unit)


@SLOWLY
@VLLM_FIRST
def test_so_many_requests_run_at_once_as_the_setting_says(
    settings: Settings, here: Place, standins: Standins, model_folder: Path, engine: str
) -> None:
    settings.request_concurrency = 6
    standins.behave(latency=0.02)
    given = {"checkpoint": here.checkpoint(model_folder), "prompts": here.prompts(30)}
    here.rows(here.unit("sample", {**PARAMS, "engine": engine, "n": 2}, **given))
    assert standins.most_at_once == 6


@SLOWLY
def test_vllm_scores_what_training_would_see(here: Place, standins: Standins, model_folder: Path) -> None:
    pair = {"prompt_id": "a", "prompt": "Why?", "completion_a": "Because.", "completion_b": "No."}
    checkpoint: CommitRef = here.checkpoint(model_folder)
    params = {"engine": "vllm", "dtype": "bfloat16"}
    rows = here.rows(here.unit("score", params, checkpoint=checkpoint, preferences=here.preferences([pair])))
    assert [row["tokens"] for row in rows] == [len("Because."), len("No.")]
    assert all(row["logprob"] < 0 for row in rows)


@pytest.fixture
def adapter(tmp_path: Path, other_folder: Path) -> Path:
    """A folder as peft saves an adapter, with other weights than the base's."""
    folder = tmp_path / "adapter"
    folder.mkdir()
    config = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 12, "rank_pattern": {"q_proj": 24}}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    (folder / "adapter_model.safetensors").write_bytes((other_folder / "model.safetensors").read_bytes())
    return folder


@VLLM_FIRST
def test_an_adapter_is_loaded_beside_its_base_and_asked_for_by_name(
    here: Place, standins: Standins, model_folder: Path, adapter: Path, engine: str
) -> None:
    serving = Serving(engine, folder=model_folder, dtype="bfloat16", adapter=adapter)
    with here.keeper.engine(serving, ignore) as started:
        assert started.model == "checkpoint"
    words = " ".join(standins.starts[0]["argv"])
    if engine == "tgi":
        assert f"--lora-adapters checkpoint={adapter}" in words
    else:
        assert "--served-model-name base" in words
        assert f"--enable-lora --lora-modules checkpoint={adapter} --max-lora-rank 32" in words
