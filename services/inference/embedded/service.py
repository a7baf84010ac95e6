"""From requests to jobs: what the HTTP app calls. Runs on the event loop; the scheduler's thread answers it."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager

from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.jobs import Delta, Job, Params
from services.inference.embedded.protocol import ChatRequest, CompletionRequest, Sampling, TokenizeRequest
from services.inference.embedded.scheduler import Scheduler
from shared.errors import BadInput


class UnknownModel(BadInput):
    """A request names a model that this engine does not serve."""


class ContextTooLong(BadInput):
    """A prompt and what it asks for do not fit into the model's context."""


class ClientGone(Exception):
    """The client closed its connection before it had its answer."""


class Service:
    """One checkpoint's jobs."""

    def __init__(self, checkpoint: Checkpoint, scheduler: Scheduler) -> None:
        self.checkpoint = checkpoint
        self.scheduler = scheduler

    @property
    def healthy(self) -> bool:
        return self.scheduler.is_alive()

    def chat(self, request: ChatRequest) -> tuple[list[int], Params]:
        """The prompt's tokens and how to complete them. Raises `BadInput`."""
        self.check_model(request.model)
        prompt = self.checkpoint.render([message.plain() for message in request.messages])
        if request.max_completion_tokens is not None:
            asked = request.max_completion_tokens
        else:
            asked = self._rest(prompt) if request.max_tokens is None else request.max_tokens
        if request.top_logprobs and not request.logprobs:
            raise BadInput("top_logprobs", "needs logprobs", "Set logprobs to true.")
        return prompt, self._params(request, prompt, asked, (request.top_logprobs or 0) if request.logprobs else None)

    def completions(self, request: CompletionRequest) -> list[tuple[list[int], Params]]:
        """Each prompt's tokens and how to complete them. Raises `BadInput`."""
        self.check_model(request.model)
        found = []
        for prompt in request.prompts:
            tokens = self.checkpoint.encode(prompt) if isinstance(prompt, str) else prompt
            vocabulary = self.checkpoint.model.config.vocab_size
            if not tokens:
                raise BadInput("prompt", "holds no token", "Give at least one; the tokenizer adds none by itself.")
            if not all(0 <= token < vocabulary for token in tokens):
                raise BadInput("prompt", f"a token is outside the vocabulary of {vocabulary}", "")
            asked = self._rest(tokens) if request.max_tokens is None else request.max_tokens
            found.append((tokens, self._params(request, tokens, asked, request.logprobs, bool(request.echo))))
        if not found:
            raise BadInput("prompt", "the list is empty", "Give at least one prompt.")
        return found

    def tokenize(self, request: TokenizeRequest) -> list[int]:
        """The tokens of a text or a conversation. Raises `BadInput`."""
        if request.model is not None:
            self.check_model(request.model)
        if (request.prompt is None) == (request.messages is None):
            raise BadInput("prompt", "exactly one of prompt and messages is needed", "")
        if request.messages is not None:
            return self.checkpoint.render(
                [message.plain() for message in request.messages], request.add_generation_prompt
            )
        assert request.prompt is not None
        return self.checkpoint.encode(request.prompt, request.add_special_tokens is not False)

    def check_model(self, name: str) -> None:
        if name != self.checkpoint.name:
            raise UnknownModel("model", f"there is no model {name!r} here", f"Name {self.checkpoint.name!r}.")

    async def run(self, work: Sequence[tuple[list[int], Params]], gone: asyncio.Future[None]) -> list[Job]:
        """Do jobs to their end.

        Raises:
            ClientGone: `gone` came first; the jobs' rows leave the batch.
            Stopped: the engine is shutting down.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()
        left = len(work)

        def note(error: Exception | None) -> None:
            nonlocal left
            left -= 1
            if not ended.done() and (error or not left):
                ended.set_exception(error) if error else ended.set_result(None)

        jobs = [Job(prompt, params, lambda _, error: call_on(loop, lambda: note(error))) for prompt, params in work]
        try:
            with self._submitted(jobs):
                await asyncio.wait({ended, gone}, return_when=asyncio.FIRST_COMPLETED)
                if not ended.done():
                    raise ClientGone
                ended.result()
        finally:
            gone.cancel()
        return jobs

    async def stream(self, work: Sequence[tuple[list[int], Params]]) -> AsyncIterator[tuple[int, Delta] | list[Job]]:
        """Yield (index of the work, what one of its completions gained), and at last all jobs. Raises `Stopped`."""
        loop = asyncio.get_running_loop()
        events: asyncio.Queue[tuple[int, Delta | Exception | None]] = asyncio.Queue()

        def report(at: int) -> tuple[Callable[[Job, Exception | None], None], Callable[[Job, Delta], None]]:
            def put(_: Job, event: Delta | Exception | None) -> None:
                call_on(loop, lambda: events.put_nowait((at, event)))

            return put, put

        jobs = []
        for at, (prompt, params) in enumerate(work):
            on_end, on_delta = report(at)
            jobs.append(Job(prompt, params, on_end, on_delta))
        left = len(jobs)
        with self._submitted(jobs):
            while left:
                at, event = await events.get()
                if isinstance(event, Delta):
                    yield at, event
                elif event is not None:
                    raise event
                else:
                    left -= 1
            yield jobs

    @contextmanager
    def _submitted(self, jobs: Sequence[Job]) -> Iterator[None]:
        """Submit jobs; however this ends, their rows leave the batch."""
        for job in jobs:
            self.scheduler.submit(job)
        try:
            yield
        finally:
            for job in jobs:
                job.cancelled = True

    def _rest(self, prompt: Sequence[int]) -> int:
        return max(1, self.checkpoint.limit - len(prompt))

    def _params(
        self, request: Sampling, prompt: list[int], max_tokens: int, logprobs: int | None, echo: bool = False
    ) -> Params:
        limit, choices = self.checkpoint.limit, request.n or 1
        if len(prompt) + max_tokens > limit:
            raise ContextTooLong(
                "messages" if isinstance(request, ChatRequest) else "prompt",
                f"this model's context is {limit} tokens; the prompt has {len(prompt)} and max_tokens asks for "
                f"{max_tokens} more",
                "Shorten the prompt or lower max_tokens.",
            )
        if choices > self.scheduler.limits.rows:
            raise BadInput("n", f"is over this engine's batch of {self.scheduler.limits.rows} rows", "Lower it.")
        return Params(
            max_tokens=max_tokens,
            seed=secrets.randbits(63) if request.seed is None else request.seed,
            n=choices,
            temperature=1.0 if request.temperature is None else request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            stop=request.stops,
            logprobs=logprobs,
            score_prompt=echo and logprobs is not None,
            ignore_eos=request.ignore_eos,
        )


def call_on(loop: asyncio.AbstractEventLoop, what: Callable[[], None]) -> None:
    """Run `what` on the loop, unless it is closed: then nobody waits any more."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(what)
