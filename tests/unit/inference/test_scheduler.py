from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import pytest
import torch

from services.inference.embedded import scheduler as scheduler_module
from services.inference.embedded.decoder import Decoder
from services.inference.embedded.jobs import Delta, Job, Params
from services.inference.embedded.scheduler import Limits, Scheduler
from shared.errors import Stopped
from tests.waiting import wait_until

PARAMS = Params(max_tokens=20, seed=7, ignore_eos=True)


class Client:
    """Submits jobs and waits for their ends."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.scheduler = scheduler
        self.ends: queue.SimpleQueue[tuple[Job, Exception | None]] = queue.SimpleQueue()

    def submit(self, prompt: list[int], params: Params, deltas: list[Delta] | None = None) -> Job:
        on_delta = None if deltas is None else (lambda _, delta: deltas.append(delta))
        job = Job(prompt, params, lambda job, error: self.ends.put((job, error)), on_delta)
        self.scheduler.submit(job)
        return job

    def wait(self, count: int) -> list[tuple[Job, Exception | None]]:
        return [self.ends.get(timeout=30) for _ in range(count)]

    def run(self, prompt: list[int], params: Params) -> Job:
        self.submit(prompt, params)
        job, error = self.wait(1)[0]
        assert error is None
        return job


@pytest.fixture
def client(decoder: Decoder) -> Iterator[Client]:
    yield from served(decoder, Limits())


def served(decoder: Decoder, limits: Limits) -> Iterator[Client]:
    scheduler = Scheduler(decoder, limits)
    scheduler.start()
    yield Client(scheduler)
    scheduler.stop()
    scheduler.join(10)
    assert not scheduler.is_alive()


def prompts(count: int) -> list[list[int]]:
    return [[2 + (7 * at + 3 * step) % 250 for step in range(1 + at % 17)] for at in range(count)]


def variants(count: int) -> list[Params]:
    """Requests of every sort: greedy and sampled, long and short, with and without a nucleus, several samples."""
    return [
        replace(
            PARAMS,
            seed=at,
            max_tokens=1 + at % 13,
            temperature=(0.0, 0.7, 1.0, 1.5)[at % 4],
            top_p=(1.0, 0.8)[at % 2],
            n=1 + at % 3,
        )
        for at in range(count)
    ]


def test_a_request_gives_the_same_text_alone_and_in_a_crowd(client: Client) -> None:
    work = list(zip(prompts(60), variants(60), strict=True))
    jobs = [client.submit(prompt, params) for prompt, params in work]
    assert all(error is None for _, error in client.wait(60))
    crowd = [[row.tokens for row in job.rows] for job in jobs]
    alone = [[row.tokens for row in client.run(prompt, params).rows] for prompt, params in work]
    assert crowd == alone
    assert all(
        len(tokens) == params.max_tokens for (_, params), rows in zip(work, crowd, strict=True) for tokens in rows
    )


def test_temperature_zero_follows_the_models_own_greedy_generation(client: Client) -> None:
    model = client.scheduler.checkpoint.model
    for prompt in prompts(5):
        expected = model.generate(
            torch.tensor([prompt]), attention_mask=torch.ones(1, len(prompt)), max_new_tokens=20, do_sample=False,
            eos_token_id=None,
        )  # fmt: skip
        job = client.run(prompt, replace(PARAMS, temperature=0.0))
        assert job.rows[0].tokens == expected[0, len(prompt) :].tolist()


def test_samples_of_one_request_differ_and_each_is_what_it_is_alone(client: Client) -> None:
    many = client.run([5, 6, 7], replace(PARAMS, n=4))
    assert len({tuple(row.tokens) for row in many.rows}) == 4
    assert client.run([5, 6, 7], PARAMS).rows[0].tokens == many.rows[0].tokens
    assert client.run([5, 6, 7], replace(PARAMS, seed=8)).rows[0].tokens != many.rows[0].tokens


def test_an_end_token_ends_a_row_while_others_go_on(client: Client) -> None:
    job = client.run([5, 6, 7], replace(PARAMS, n=64, max_tokens=100, ignore_eos=False))
    ends = {row.finish for row in job.rows}
    assert ends == {"stop", "length"}
    for row in job.rows:
        assert (row.tokens[-1] in client.scheduler.checkpoint.ends) == (row.finish == "stop")


def test_logprobs_are_those_of_a_plain_forward_pass_whatever_the_temperature(client: Client) -> None:
    prompt = [5, 6, 7]
    row = client.run(prompt, replace(PARAMS, temperature=0.5, top_p=0.9, logprobs=3)).rows[0]
    with torch.inference_mode():
        logits = client.scheduler.checkpoint.model(torch.tensor([prompt + row.tokens])).logits[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits, -1)
    for at, entry in enumerate(row.logprobs):
        assert entry.token == row.tokens[at]
        assert entry.logprob == pytest.approx(float(expected[at, entry.token]), abs=1e-4)
        assert [token for token, _ in entry.top] == expected[at].topk(3).indices.tolist()


def test_a_prompt_is_scored_and_then_completed(client: Client) -> None:
    prompt = prompts(12)[11]
    scored = client.run(prompt, replace(PARAMS, logprobs=0, score_prompt=True, max_tokens=3))
    with torch.inference_mode():
        expected = torch.log_softmax(client.scheduler.checkpoint.model(torch.tensor([prompt])).logits[0], -1)
    assert scored.prompt_logprobs[0].logprob is None
    for at, entry in enumerate(scored.prompt_logprobs[1:]):
        assert entry.logprob == pytest.approx(float(expected[at, prompt[at + 1]]), abs=1e-4)
    assert scored.rows[0].tokens == client.run(prompt, replace(PARAMS, max_tokens=3)).rows[0].tokens


def test_requests_that_come_one_upon_the_other_are_read_in_one_compiled_pass(
    decoder: Decoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("GATHER_SECONDS", "GATHER_MOST"):
        monkeypatch.setattr(scheduler_module, name, 2.0)
    monkeypatch.setattr(decoder, "compiled", SimpleNamespace(pages=decoder.cache))
    monkeypatch.setattr(decoder, "step", lambda tokens, positions: torch.zeros(len(tokens), 300))
    passes: list[int] = []

    def prefill(prompts: list[list[int]], first_slot: int) -> torch.Tensor:
        passes.append(len(prompts))
        return torch.zeros(len(prompts), 300)

    monkeypatch.setattr(decoder, "prefill", prefill)
    for client in served(decoder, Limits()):
        for count in (1, 2):
            client.submit([2, 3, 4], PARAMS)
            waiting = client.scheduler.waiting
            wait_until(partial(lambda count, jobs: len(jobs) == count, count, waiting), 10, "the request")
        client.wait(2)
    assert passes == [2]


def test_no_more_rows_run_than_the_limits_allow(decoder: Decoder) -> None:
    peak = 0
    step = decoder.step

    def watched(tokens: list[int], positions: list[int]) -> torch.Tensor:
        nonlocal peak
        peak = max(peak, len(tokens))
        return step(tokens, positions)

    decoder.step = watched  # type: ignore[method-assign, assignment]
    for client in served(decoder, Limits(rows=6)):
        for at, prompt in enumerate(prompts(30)):
            client.submit(prompt, replace(PARAMS, seed=at, n=2))
        client.wait(30)
    assert peak == 6


def test_the_cache_stays_within_its_bytes_but_one_request_is_always_taken(decoder: Decoder) -> None:
    decoder.check()
    per_token = decoder.cache.bytes_per_token()
    largest = 0
    prefill = decoder.prefill

    def watched(rows: list[list[int]], first: int) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, first + len(rows))
        return prefill(rows, first)

    decoder.prefill = watched  # type: ignore[method-assign, assignment]
    for client in served(decoder, Limits(cache_bytes=per_token * 3 * 40)):
        for at in range(9):
            client.submit([5] * 20, replace(PARAMS, seed=at))
        large = client.submit([5] * 60, replace(PARAMS, n=4))
        client.wait(10)
        assert [row.finish for row in large.rows] == ["length"] * 4
    assert largest <= 4


def test_a_cancelled_job_leaves_the_batch_and_never_ends(client: Client) -> None:
    gone = client.submit([5, 6], replace(PARAMS, n=3, max_tokens=126))
    staying = client.submit([7, 8], replace(PARAMS, max_tokens=126))
    gone.cancelled = True
    assert client.wait(1) == [(staying, None)]
    wait_until(lambda: not client.scheduler.rows, 10, "the rows to leave")
    assert client.ends.empty()
    assert staying.rows[0].tokens == client.run([7, 8], replace(PARAMS, max_tokens=126)).rows[0].tokens


def test_a_stop_ends_running_waiting_and_later_jobs(decoder: Decoder) -> None:
    scheduler = Scheduler(decoder, Limits(rows=2))
    client = Client(scheduler)
    started = threading.Event()
    for _ in range(5):
        job = client.submit([5, 6], replace(PARAMS, max_tokens=126))
        job.on_delta = lambda *_: started.set()
    scheduler.start()
    assert started.wait(10)
    scheduler.stop()
    scheduler.join(10)
    client.submit([5, 6], PARAMS)
    assert all(isinstance(error, Stopped) for _, error in client.wait(6))


def test_an_unforeseen_error_ends_every_job_and_is_kept(decoder: Decoder) -> None:
    def broken(*_: object) -> torch.Tensor:
        raise RuntimeError("out of memory")

    decoder.step = broken  # type: ignore[method-assign, assignment]
    scheduler = Scheduler(decoder, Limits())
    client = Client(scheduler)
    failures: list[bool] = []
    scheduler.on_failure = lambda: failures.append(True)
    scheduler.start()
    client.submit([5, 6], PARAMS)
    ((_, error),) = client.wait(1)
    scheduler.join(10)
    assert str(error) == str(scheduler.error) == "out of memory"
    assert failures == [True]


def test_a_stream_gets_every_token_once(client: Client) -> None:
    deltas: list[Delta] = []
    job = client.submit([5, 6, 7], replace(PARAMS, n=2, logprobs=0), deltas)
    client.wait(1)
    for row in job.rows:
        own = [delta for delta in deltas if delta.index == row.index]
        assert "".join(delta.text for delta in own) == row.text
        assert [entry.token for delta in own for entry in delta.logprobs] == row.tokens
        assert [delta.finish for delta in own[:-1]] == [None] * (len(own) - 1)
