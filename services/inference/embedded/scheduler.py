"""The engine's thread: which rows run together.

Continuous batching (Yu et al. 2022, "Orca", section 3.1): before each step new requests' prompts are read in one pass
and their rows join the batch; rows leave as soon as they end.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import structlog
import torch

from services.inference.embedded import sampling
from services.inference.embedded.decoder import Decoder, token_logprobs
from services.inference.embedded.jobs import Job, Row, TokenLogprob
from shared.errors import Stopped

log = structlog.get_logger()

GATHER_SECONDS = 0.005
"""While rows run, prompts wait this long at most for others to be read in the same pass: with a tiny model a pass costs
the same for one prompt as for ten; with a large one a single step takes longer than this."""
GATHER_MOST = 0.05
"""The same where no row runs yet, while they come one upon the other: sixteen requests at once take some tens of
milliseconds to arrive, and a compiled pass for the first alone longer than that."""

SHUTTING_DOWN = "the engine is shutting down"


@dataclass(frozen=True)
class Limits:
    """`rows` run together at most; `cache_bytes` bounds their keys and values; `prompt_tokens` (with padding) and
    `score_bytes` (of logits) bound one pass over prompts. One request alone is always taken."""

    rows: int = 256
    cache_bytes: int = 2 * 1024**3
    prompt_tokens: int = 8192
    score_bytes: int = 256 * 1024**2


class Scheduler(threading.Thread):
    """Runs jobs until `stop`. A job may be cancelled at any time by setting its `cancelled`."""

    def __init__(self, decoder: Decoder, limits: Limits) -> None:
        super().__init__(name="engine", daemon=True)
        self.decoder = decoder
        self.checkpoint = decoder.checkpoint
        self.limits = limits
        self.rows: list[Row] = []
        self.waiting: deque[Job] = deque()
        self.scoring: deque[Job] = deque()
        self._open: dict[int, Job] = {}
        self._inbox: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._door = threading.Lock()
        self._settings: RowSettings | None = None
        self.error: Exception | None = None
        self.on_failure: Callable[[], None] = lambda: None

    def submit(self, job: Job) -> None:
        """Queue a job; its callbacks tell the rest. After `stop` it ends with `Stopped`."""
        if not (job.params.max_tokens or job.params.score_prompt):
            return job.on_end(job, None)
        with self._door:
            if not self._stopping.is_set():
                job.submitted = time.monotonic()
                return self._inbox.put(job)
        return job.on_end(job, Stopped(SHUTTING_DOWN))

    def stop(self) -> None:
        """End every job with `Stopped`, and the thread."""
        self._stopping.set()
        self._inbox.put(None)

    def run(self) -> None:
        """Work until stopped. What is not foreseen is kept in `error`, ends all jobs and the thread."""
        try:
            while not self._stopping.is_set():
                self._receive()
                self._drop_cancelled()
                self._score()
                self._admit()
                self._step()
        except Exception as unforeseen:
            log.exception("engine.failed")
            self.error = unforeseen
            self.on_failure()
        finally:
            self._end_all(self.error or Stopped(SHUTTING_DOWN))

    def _receive(self) -> None:
        """Take in what has come; where there is nothing to do, wait for it."""
        idle = not (self.rows or self.waiting or self.scoring)
        if idle and not self._take_in(None):
            return
        until = time.monotonic() + (GATHER_MOST if idle and self.decoder.compiled is not None else 0.0)
        while self._take_in(max(0.0, min(GATHER_SECONDS, until - time.monotonic()))):
            pass

    def _take_in(self, seconds: float | None) -> bool:
        """Take in one job, waiting so long for it (None: for ever); whether one came."""
        try:
            job = self._inbox.get(block=seconds != 0.0, timeout=seconds)
        except queue.Empty:
            return False
        if job is None:
            return False
        self._open[id(job)] = job
        (self.scoring if job.params.score_prompt else self.waiting).append(job)
        return True

    def _drop_cancelled(self) -> None:
        cancelled = [job for job in self._open.values() if job.cancelled]
        for job in cancelled:
            del self._open[id(job)]
            for jobs in (self.waiting, self.scoring):
                if job in jobs:
                    jobs.remove(job)
        if cancelled:
            self._remove([row for row in self.rows if row.job.cancelled])

    def _score(self) -> None:
        """Score one batch of prompts; those that also want a completion then wait for it."""
        vocabulary = int(self.checkpoint.model.config.vocab_size)
        budget = self.limits.score_bytes // (4 * vocabulary)
        jobs = self._take(self.scoring, budget)
        if not jobs:
            return
        top = max(job.params.logprobs or 0 for job in jobs)
        scores = self.decoder.score([job.prompt for job in jobs], top)
        for job, (chosen, best, which) in zip(jobs, scores, strict=True):
            rest = logprob_rows(job.prompt[1:], chosen, best, which, job.params.logprobs or 0)
            job.prompt_logprobs = [TokenLogprob(job.prompt[0], None), *rest]
            if job.params.max_tokens:
                self.waiting.append(job)
            else:
                self._end(job, None)

    def _take(self, jobs: deque[Job], tokens: int) -> list[Job]:
        """The first jobs whose prompts, padded to the longest, hold at most so many tokens; at least one."""
        taken: list[Job] = []
        longest = 0
        while jobs:
            longest = max(longest, len(jobs[0].prompt))
            if taken and longest * (len(taken) + 1) > tokens:
                break
            taken.append(jobs.popleft())
        return taken

    def _admit(self) -> None:
        """Read waiting prompts in one pass, as many as there is room for, and let their rows join."""
        jobs = self._take(self._with_room(), self.limits.prompt_tokens)
        if not jobs:
            return
        for _ in jobs:
            self.waiting.popleft()
        first = len(self.rows)
        total = first + sum(job.params.n for job in jobs)
        self.decoder.reserve(total, max(job.length for job in (*jobs, *(row.job for row in self.rows))))
        logits = self.decoder.prefill([job.prompt for job in jobs], first)
        rows, source = [job.rows[0] for job in jobs], list(range(len(jobs)))
        for at, job in enumerate(jobs):
            for row in job.rows[1:]:
                self.decoder.slots.copy(first + at, first + len(rows), len(job.prompt))
                rows.append(row)
                source.append(at)
        self.rows.extend(rows)
        self._settings = None
        self._push(rows, logits if len(rows) == len(jobs) else logits[source])

    def _with_room(self) -> deque[Job]:
        """The waiting jobs, in order, for whose rows there is room beside those that run."""
        room: deque[Job] = deque()
        if not self.waiting or (self.rows and time.monotonic() - self.waiting[0].submitted < GATHER_SECONDS):
            return room
        rows = len(self.rows)
        longest = max((row.job.length for row in self.rows), default=0)
        per_token = self.decoder.slots.bytes_per_token()
        for job in self.waiting:
            longest = max(longest, job.length)
            rows += job.params.n
            if rows > job.params.n and (
                rows > self.limits.rows or rows * longest * per_token > self.limits.cache_bytes
            ):
                break
            room.append(job)
        return room

    def _step(self) -> None:
        if self.rows:
            logits = self.decoder.step([row.tokens[-1] for row in self.rows], [row.position for row in self.rows])
            self._push(self.rows, logits)

    def _push(self, rows: list[Row], logits: torch.Tensor) -> None:
        """Sample a token for each row, report it, and let rows leave that ended."""
        if rows is self.rows:
            settings = self._settings = self._settings or RowSettings(rows)
        else:
            settings = RowSettings(rows)
        chosen = settings.pick(rows, logits)
        tokens = chosen.tolist()
        self._keep_logprobs(rows, logits, chosen)
        for row, token in zip(rows, tokens, strict=True):
            row.push(token, self.checkpoint)
            if row.job.on_delta and (delta := row.delta()):
                row.job.on_delta(row.job, delta)
        ended = [row for row in rows if row.finish]
        if ended:
            self._remove(ended)
            for job in {id(row.job): row.job for row in ended}.values():
                if all(row.finish for row in job.rows):
                    self._end(job, None)

    def _keep_logprobs(self, rows: list[Row], logits: torch.Tensor, chosen: torch.Tensor) -> None:
        wanted = [at for at, row in enumerate(rows) if row.job.params.logprobs is not None]
        if not wanted:
            return
        top = max(rows[at].job.params.logprobs or 0 for at in wanted)
        values = token_logprobs(logits[wanted], chosen[wanted], top)
        for line, at in enumerate(wanted):
            value, best, which = (part[line : line + 1] for part in values)
            row = rows[at]
            row.logprobs += logprob_rows([int(chosen[at])], value, best, which, row.job.params.logprobs or 0)

    def _remove(self, rows: list[Row]) -> None:
        """Let rows leave; the last one moves into each place."""
        if not rows:
            return
        leaving = {id(row) for row in rows}
        for slot in [at for at in reversed(range(len(self.rows))) if id(self.rows[at]) in leaving]:
            last = self.rows.pop()
            if slot < len(self.rows):
                self.decoder.slots.copy(len(self.rows), slot, last.position + 1)
                self.rows[slot] = last
        self._settings = None

    def _end_all(self, error: Exception) -> None:
        with self._door:
            self._stopping.set()
        while not self._inbox.empty():
            if (job := self._inbox.get()) is not None:
                self._open[id(job)] = job
        for job in list(self._open.values()):
            self._end(job, error)

    def _end(self, job: Job, error: Exception | None) -> None:
        self._open.pop(id(job), None)
        job.on_end(job, error)


class RowSettings:
    """The sampling settings of a batch's rows as arrays."""

    def __init__(self, rows: list[Row]) -> None:
        params = [row.job.params for row in rows]
        self.keys = np.array([row.key for row in rows], dtype=np.uint64)
        self.temperature = torch.tensor([own.temperature for own in params])
        self.top_p = torch.tensor([own.top_p for own in params])

    def pick(self, rows: list[Row], logits: torch.Tensor) -> torch.Tensor:
        counters = np.array([len(row.tokens) for row in rows], dtype=np.uint64)
        draws = torch.from_numpy(sampling.uniforms(self.keys, counters))
        return sampling.pick(logits, self.temperature, self.top_p, draws)


def logprob_rows(
    tokens: list[int], chosen: torch.Tensor, best: torch.Tensor, which: torch.Tensor, top: int
) -> list[TokenLogprob]:
    """Tensors of `token_logprobs` as records with `top` alternatives each."""
    alternatives = (
        zip(names, values, strict=True)
        for names, values in zip(which[:, :top].tolist(), best[:, :top].tolist(), strict=True)
    )
    return [
        TokenLogprob(token, value, tuple(options))
        for token, value, options in zip(tokens, chosen.tolist(), alternatives, strict=True)
    ]
