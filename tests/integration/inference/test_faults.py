"""Engines that are lost, changed, idle or in the way; and that none outlives its worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest

from services.inference.engines.base import Engine, Serving
from services.inference.engines.embedded import EmbeddedEngine
from services.inference.keeper import Keeper
from services.inference.lock import hold, wanted
from shared.settings import Settings
from tests.integration.inference.engine_process import announced, start_engine
from tests.integration.inference.place import SAMPLING, Place
from tests.stack import ROOT
from tests.waiting import wait_until

MANY: dict[str, Any] = {**SAMPLING, "max_tokens": 60}


def ignore() -> None:
    return None


def started(keeper: Keeper, folder: Path, **more: Any) -> EmbeddedEngine:
    with keeper.engine(Serving("embedded", folder=folder, **more), ignore) as engine:
        assert isinstance(engine, EmbeddedEngine)
        return engine


def kill_in_the_middle(place: Place, victim: Callable[[EmbeddedEngine], int]) -> threading.Thread:
    """Kill a process once the running stage has got some answers."""

    def watch() -> None:
        engine = wait_until(lambda: running_engine(place.keeper), 60, "an engine")
        wait_until(lambda: answered(place), 60, "the first answers")
        assert engine is not None
        os.kill(victim(engine), signal.SIGKILL)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def running_engine(keeper: Keeper) -> EmbeddedEngine | None:
    engine: Engine | None = keeper.current
    return engine if isinstance(engine, EmbeddedEngine) else None


def answered(place: Place) -> bool:
    """Whether the running stage has reported progress."""
    entries: list[Any] = place.runner.redis.xrange("signals")
    return any(fields[b"type"] == b"progress" and b'"done": 0,' not in fields[b"data"] for _, fields in entries)


def test_a_killed_engine_is_started_again_and_the_texts_are_the_same(place: Place, model_folder: Path) -> None:
    checkpoint, prompts = place.checkpoint(model_folder), place.prompts(400)
    unit = place.unit("sample", MANY, checkpoint=checkpoint, prompts=prompts)
    killer = kill_in_the_middle(place, lambda engine: engine.pid)
    rows = place.rows(unit)
    killer.join()
    assert "the engine was lost" in place.log(unit)
    again = place.unit("sample", {**MANY, "top_p": 1.0}, checkpoint=checkpoint, prompts=prompts)
    assert place.rows(again) == rows


@pytest.mark.slow
def test_a_killed_host_costs_the_running_stage_nothing(place: Place, model_folder: Path) -> None:
    checkpoint, prompts = place.checkpoint(model_folder), place.prompts(400)
    unit = place.unit("sample", MANY, checkpoint=checkpoint, prompts=prompts)
    before = started(place.keeper, place.load(checkpoint).folder())
    killer = kill_in_the_middle(place, lambda engine: engine.host_pid)
    rows = place.rows(unit)
    killer.join()
    assert "the engine was lost" not in place.log(unit)
    again = place.unit("sample", {**MANY, "top_p": 1.0}, checkpoint=checkpoint, prompts=prompts)
    assert place.rows(again) == rows
    assert not psutil.pid_exists(before.pid)


def test_one_engine_serves_one_checkpoint_for_many_stages(place: Place, model_folder: Path, other_folder: Path) -> None:
    first = started(place.keeper, model_folder)
    assert started(place.keeper, model_folder) is first
    second = started(place.keeper, other_folder)
    assert second is not first
    assert not psutil.pid_exists(first.pid)
    assert started(place.keeper, other_folder, chat_template="chatml").pid != second.pid
    assert not psutil.pid_exists(second.pid)


@pytest.mark.slow
def test_an_idle_engine_ends_and_another_starts_when_needed(settings: Settings, model_folder: Path) -> None:
    keeper = Keeper(settings, idle_seconds=0.2)
    first = started(keeper, model_folder)
    wait_until(lambda: not psutil.pid_exists(first.pid) and not psutil.pid_exists(first.host_pid), 20, "the end")
    assert started(keeper, model_folder).healthy()
    keeper.close()


@pytest.mark.slow
def test_two_workers_on_one_machine_take_turns(settings: Settings, model_folder: Path) -> None:
    one, two = Keeper(settings), Keeper(settings)
    first = started(one, model_folder)
    with one.engine(Serving("embedded", folder=model_folder), ignore):
        waiting: list[EmbeddedEngine] = []
        thread = threading.Thread(target=lambda: waiting.append(started(two, model_folder)))
        thread.start()
        wait_until(lambda: wanted(settings.data_dir / "engine.lock"), 60, "the second to wait")
        assert first.healthy()
        assert not waiting
    thread.join(60)
    assert waiting[0].healthy()
    assert not psutil.pid_exists(first.pid)
    one.close()
    two.close()


@pytest.mark.slow
def test_waiting_for_the_lock_stops_when_the_stage_must_stop(settings: Settings, model_folder: Path) -> None:
    held = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(settings.data_dir / "engine.lock")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert held.stdout is not None
    held.stdout.readline()
    keeper = Keeper(settings)
    deadline = time.monotonic() + 60

    def check() -> None:
        if wanted(settings.data_dir / "engine.lock") or time.monotonic() > deadline:
            raise InterruptedError("stop")

    with pytest.raises(InterruptedError), keeper.engine(Serving("embedded", folder=model_folder), check):
        pass
    wait_until(lambda: not wanted(settings.data_dir / "engine.lock"), 20, "the engine that waited to end")
    held.kill()
    held.wait()
    keeper.close()


HOLD = """
import sys, pathlib
from services.inference.lock import hold
hold(pathlib.Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_the_lock_is_free_the_moment_its_holder_is_killed(tmp_path: Path) -> None:
    lock = tmp_path / "engine.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    assert not wanted(lock)
    holder.kill()
    holder.wait()
    os.close(hold(lock))


WORKER = """
import pathlib, sys
from services.inference.engines.base import Serving
from services.inference.keeper import Keeper
from shared.logs import configure_logs
from shared.settings import Settings
configure_logs()
keeper = Keeper(Settings(data_dir=pathlib.Path(sys.argv[1])))
with keeper.engine(Serving("embedded", folder=pathlib.Path(sys.argv[2])), lambda: None) as engine:
    print(engine.pid, engine.host_pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_no_engine_outlives_its_worker(tmp_path: Path, model_folder: Path, number: signal.Signals) -> None:
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path), str(model_folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
    )
    assert worker.stdout is not None
    pids = [int(pid) for pid in worker.stdout.readline().split()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    worker.send_signal(number)
    worker.wait()
    wait_until(lambda: not any(psutil.pid_exists(pid) for pid in pids), 10, "the engine and its host to end")


def test_a_folder_that_holds_no_model_says_so_in_one_line(tmp_path: Path) -> None:
    process = start_engine(tmp_path)
    assert process.stderr is not None
    assert process.wait(60) == 1
    last = process.stderr.read().decode().splitlines()[-1]
    assert last.startswith("error: model: ")
    assert "safetensors" in last


@pytest.mark.slow
async def test_sigterm_ends_running_requests_with_503_and_the_process_with_0(model_folder: Path) -> None:
    process = start_engine(model_folder, "--name", "m", "--chat-template", "chatml")
    url = announced(process)
    client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    messages: list[Any] = [{"role": "user", "content": "x"}]
    stream = await client.chat.completions.create(
        model="m", messages=messages, n=100, stream=True, extra_body={"ignore_eos": True}
    )
    asked = [
        asyncio.create_task(
            client.chat.completions.create(model="m", messages=messages, n=128, extra_body={"ignore_eos": True})
        )
        for _ in range(20)
    ]
    await stream.__anext__()
    process.terminate()
    outcomes = await asyncio.gather(*asked, return_exceptions=True)
    assert await asyncio.to_thread(process.wait, 10) == 0
    assert any(isinstance(outcome, openai.APIError) for outcome in outcomes)
    await client.close()


@pytest.mark.slow
async def test_a_client_that_leaves_takes_its_rows_along(model_folder: Path) -> None:
    """An abandoned request of 128 long rows must not slow the next one down: its rows leave the batch."""
    process = start_engine(model_folder, "--name", "m")
    url = announced(process)
    body: dict[str, Any] = {
        "model": "m", "messages": [{"role": "user", "content": "x"}], "n": 128, "ignore_eos": True, "max_tokens": 110
    }  # fmt: skip
    async with httpx.AsyncClient(timeout=60) as client:
        alone = await seconds(client.post(f"{url}/v1/chat/completions", json={**body, "n": 1}))
        for _ in range(12):
            with pytest.raises(httpx.ReadTimeout):
                await client.post(f"{url}/v1/chat/completions", json=body, timeout=0.05)
        left = await seconds(client.post(f"{url}/v1/chat/completions", json={**body, "n": 1}))
        all_of_it = await seconds(client.post(f"{url}/v1/chat/completions", json=body))
    process.terminate()
    process.wait(10)
    assert left < alone + 3 * all_of_it


async def seconds(request: Any) -> float:
    before = time.monotonic()
    (await request).raise_for_status()
    return time.monotonic() - before
