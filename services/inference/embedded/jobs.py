"""What one request asks of the engine, and its completions as they grow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from services.inference.embedded.checkpoint import Checkpoint
from services.inference.embedded.sampling import row_key

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, its log-probability at temperature 1 (None for a prompt's first token), and the likeliest ones."""

    token: int
    logprob: float | None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Params:
    """How to complete a prompt. `logprobs` is how many alternatives to report, None for no log-probabilities at all;
    `score_prompt` reports them for the prompt's tokens too."""

    max_tokens: int
    seed: int
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    logprobs: int | None = None
    score_prompt: bool = False
    ignore_eos: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """What one completion gained: text and the tokens behind it; `finish` with the last."""

    index: int
    text: str
    logprobs: tuple[TokenLogprob, ...]
    finish: Finish | None


@dataclass(eq=False)
class Job:
    """One prompt and its `n` completions. `on_delta` (for streams) and `on_end` are called on the engine's thread;
    `on_end` gets the error that ended the job, or None."""

    prompt: list[int]
    params: Params
    on_end: Callable[[Job, Exception | None], None]
    on_delta: Callable[[Job, Delta], None] | None = None
    rows: list[Row] = field(default_factory=list)
    prompt_logprobs: list[TokenLogprob] = field(default_factory=list)
    cancelled: bool = False
    submitted: float = 0.0

    def __post_init__(self) -> None:
        self.rows = [Row(self, index) for index in range(self.params.n)]
        if self.params.max_tokens == 0:
            for row in self.rows:
                row.finish = "length"

    @property
    def length(self) -> int:
        """Positions of the cache that each of its rows may need."""
        return len(self.prompt) + self.params.max_tokens

    @property
    def output_tokens(self) -> int:
        return sum(len(row.tokens) for row in self.rows)


class Row:
    """One completion: the tokens so far (an end token included), the text, and why it ended."""

    __slots__ = ("finish", "index", "job", "key", "logprobs", "sent", "sent_logprobs", "text", "tokens")

    def __init__(self, job: Job, index: int) -> None:
        self.job = job
        self.index = index
        self.key = row_key(job.params.seed, index)
        self.tokens: list[int] = []
        self.logprobs: list[TokenLogprob] = []
        self.text = ""
        self.sent = 0
        self.sent_logprobs = 0
        self.finish: Finish | None = None

    @property
    def position(self) -> int:
        """The last token's position in the row's context."""
        return len(self.job.prompt) + len(self.tokens) - 1

    def push(self, token: int, checkpoint: Checkpoint) -> None:
        """Append a token and see whether the completion ends with it."""
        params = self.job.params
        self.tokens.append(token)
        ended = token in checkpoint.ends and not params.ignore_eos
        if ended:
            self.finish = "stop"
        elif len(self.tokens) >= params.max_tokens:
            self.finish = "length"
        if self.finish or params.stop or self.job.on_delta:
            self.text = checkpoint.decode(self.tokens[:-1] if ended else self.tokens)
            self._cut_at_stop(params.stop)

    def delta(self) -> Delta | None:
        """What may be sent to a streaming client by now; None while nothing may."""
        safe = len(self.text) if self.finish else sendable(self.text, self.job.params.stop)
        if safe <= self.sent and not self.finish:
            return None
        text, logprobs = self.text[self.sent : safe], tuple(self.logprobs[self.sent_logprobs :])
        self.sent, self.sent_logprobs = max(safe, self.sent), len(self.logprobs)
        return Delta(self.index, text, logprobs, self.finish)

    def _cut_at_stop(self, stops: tuple[str, ...]) -> None:
        places = [place for place in (self.text.find(stop) for stop in stops) if place >= 0]
        if places:
            self.text = self.text[: min(places)]
            self.finish = "stop"


def sendable(text: str, stops: tuple[str, ...]) -> int:
    """How much of a growing text will surely stay: not half a character, and no beginning of a stop string."""
    whole = text.rstrip("\ufffd")
    longest = max(map(len, stops), default=0)
    for start in range(max(0, len(whole) - longest + 1), len(whole)):
        if any(stop.startswith(whole[start:]) for stop in stops):
            return start
    return len(whole)
