"""What goes wrong at the stand-in, and how often: settings that may change while it runs, and chance that repeats."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.world.draws import uniform

Share = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(gt=0)]
Range = tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=0)]]

# What a connection or a status does to a request, and what a model may say instead of its answer.
Transport = Literal["429", "500", "overloaded", "drop_before", "drop_during", "truncated_json", "slow_body"]
Content = Literal["refusal", "content_filter", "length", "unparsable"]
TRANSPORT: tuple[Transport, ...] = (
    "429",
    "500",
    "overloaded",
    "drop_before",
    "drop_during",
    "truncated_json",
    "slow_body",
)
CONTENT: tuple[Content, ...] = ("refusal", "content_filter", "length", "unparsable")


class Prices(BaseModel):
    """Dollars per million tokens. Batches pay `batch` times as much."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    input: float = Field(0.0, ge=0)
    output: float = Field(0.0, ge=0)
    cached_input: float | None = Field(None, ge=0)
    """None: as `input`."""
    batch: float = Field(0.5, ge=0)


class Batches(BaseModel):
    """How the batch endpoints behave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: Seconds = 0.5
    """How long a batch takes from its creation, if nothing ends it earlier."""
    window_s: Seconds = 86400.0
    """The completion window; a batch that takes longer expires with what it has."""
    cancel_s: Seconds = 0.1
    rate_failed: Share = 0.0
    """Share of rows that end in the error file with status 500; drawn anew for each batch."""
    queue_tokens: Count | None = None
    """Tokens (characters / 4 + max_tokens) that batches may have in the queue together; one that is over it fails."""
    file_bytes: Count = 200_000_000
    rows: Count = 50_000


class Faults(BaseModel):
    """Without faults the stand-in answers as the simulator does. A `rate_…` is the share of requests that it hits.

    Chance repeats: what happens to a request follows from `seed`, its content and how often it came before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 0
    latency_ms: Annotated[float, Field(ge=0)] = 0.0
    """The median time that an answer takes."""
    latency_sigma: Annotated[float, Field(ge=0)] = 0.0
    """Standard deviation of the latency's logarithm (0: always the median)."""
    match: str = ""
    """Rates hit only requests whose last message contains this."""
    attempts: Count | None = None
    """Rates hit only so many first arrivals of a request (None: every one)."""

    rate_429: Share = 0.0
    rate_500: Share = 0.0
    rate_overloaded: Share = 0.0
    """503 at OpenAI's endpoints, 529 at Anthropic's."""
    rate_drop_before: Share = 0.0
    """The model answers, and the connection is closed without a byte."""
    rate_drop_during: Share = 0.0
    """The connection is closed in the middle of the body."""
    rate_truncated_json: Share = 0.0
    """A whole body that holds half of the JSON."""
    rate_slow_body: Share = 0.0
    slow_body_s: Seconds = 2.0
    """How long a slow body takes, in ten pieces."""
    rate_refusal: Share = 0.0
    rate_content_filter: Share = 0.0
    rate_length: Share = 0.0
    """Cut in half, with the finish reason `length`."""
    rate_unparsable: Share = 0.0
    """Words without a verdict."""
    rate_no_usage: Share = 0.0

    storm_every_s: Seconds = 0.0
    storm_s: Seconds = 0.0
    """In the first `storm_s` of every `storm_every_s` each request gets a 429."""
    retry_after_s: Seconds | None = 1.0
    """What a 429 of `rate_429` or a storm says (None: nothing); one of the limits says the truth."""
    code_429: Literal["rate_limit_exceeded", "insufficient_quota"] = "rate_limit_exceeded"

    requests_per_minute: Count | None = None
    tokens_per_minute: Count | None = None
    concurrency: Count | None = None
    enforce: Literal["bucket", "window", "both"] = "both"
    """`window`: never more in any 60 s; `bucket`: refilled evenly, as OpenAI's."""
    burst_s: Annotated[float, Field(gt=0, le=60)] = 60.0
    """How many seconds' worth of a limit its bucket holds."""
    limit_headers: bool = True
    """Whether answers say the limits, and what a limit refuses, when to come again. Many servers say neither."""
    count_tokens: Literal["used", "estimate"] = "used"
    """What a request weighs: what its answer uses, or characters / 4 + max_tokens, as OpenAI estimates."""

    input_tokens: Range | None = None
    output_tokens: Range | None = None
    """Tokens that usage says, drawn by content (output never above max_tokens); None: words, as the simulator's."""
    heed_max_tokens: bool = True
    """Whether drawn output tokens stay within max_tokens, as the API promises."""
    cached_share: Share = 0.0
    """Share of the input tokens that usage calls cached."""
    logprobs: bool = False
    """Whether `logprobs` and `top_logprobs` are given (else refused with 400)."""
    prices: Prices = Prices()
    batches: Batches = Batches()

    def transport(self, content: str, attempt: int, text: str) -> Transport | None:
        """What happens on the way to the request with this content's hash that came `attempt` times before."""
        at = self._draw("transport", content, attempt, text)
        for name in TRANSPORT:
            at -= getattr(self, f"rate_{name}")
            if at < 0:
                return name
        return None

    def content(self, content: str, attempt: int, text: str) -> Content | None:
        """What the model says instead of its answer."""
        at = self._draw("content", content, attempt, text)
        for name in CONTENT:
            at -= getattr(self, f"rate_{name}")
            if at < 0:
                return name
        return None

    def says_usage(self, content: str, attempt: int, text: str) -> bool:
        return self._draw("usage", content, attempt, text) >= self.rate_no_usage

    def latency(self, content: str, attempt: int) -> float:
        """Seconds."""
        if not self.latency_sigma or not self.latency_ms:
            return self.latency_ms / 1000
        at = uniform("latency", self.seed, content, attempt)
        return self.latency_ms / 1000 * math.exp(NormalDist(0, self.latency_sigma).inv_cdf(at or 0.5))

    def storms(self, since: float) -> bool:
        """Whether a storm is on, so many seconds after the faults were set."""
        return bool(self.storm_s) and since % (self.storm_every_s or float("inf")) < self.storm_s

    def tokens(self, kind: Literal["input", "output"], content: str) -> int | None:
        """Tokens that usage is to say, where they are drawn."""
        span: Range | None = self.input_tokens if kind == "input" else self.output_tokens
        if span is None:
            return None
        return span[0] + int(uniform(kind, self.seed, content) * (span[1] - span[0] + 1))

    def _draw(self, what: str, content: str, attempt: int, text: str) -> float:
        spared = (self.attempts is not None and attempt >= self.attempts) or self.match not in text
        return 1.0 if spared else uniform(what, self.seed, content, attempt)
