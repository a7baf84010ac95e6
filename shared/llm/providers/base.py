"""What every provider is: a part of the spec that knows its identity, and how to reach what it names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializeAsAny,
    StringConstraints,
    Tag,
    model_validator,
)

from shared.asking import DEFAULT, AnyAsk, Ask
from shared.errors import BadInput
from shared.llm.credentials import PORTS
from shared.spec import base
from shared.spec.base import BY_SHAPE, MAPPING, PLAIN

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.llm.batches import BatchAPI
    from shared.llm.chat import Answer, ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.plan.comparisons import Candidate
    from shared.settings import Settings

HIDDEN = "(not shown)"
UNKNOWN_PRICE = "unknown"
DATASET = "dataset:"
URL = re.compile(r"https?://[^/\s@?#]+(/[^\s?#]*)?", re.IGNORECASE)
KEY_NAME = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


def _check_key_name(value: str) -> str:
    if not KEY_NAME.fullmatch(value):
        raise ValueError("a spec never holds a key itself; write env:NAME, the environment variable that holds it")
    return value


ApiKeyName = Annotated[str, AfterValidator(_check_key_name)]


def _check_url(url: str) -> str:
    fix = "write an http(s) URL without user, password or query, such as https://api.example.com/v1"
    try:
        parts = urlsplit(url)
        # Reading the port is what finds a wrong one.
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or port == 0 or not URL.fullmatch(url) or not url.isprintable():
        raise ValueError(f"is no URL that can be asked; {fix}")
    place = f"[{host}]" if ":" in host else host
    place += "" if port in (None, PORTS[parts.scheme]) else f":{port}"
    return f"{parts.scheme}://{place}{parts.path.rstrip('/')}"


BaseUrl = Annotated[str, AfterValidator(_check_url)]
"""An http(s) URL without user, password or query. One endpoint has one: host and scheme are in lower case, without the
scheme's own port and without a slash at the end."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Strict(base.Strict):
    """A part of the spec whose errors never repeat what was given."""

    model_config = ConfigDict(hide_input_in_errors=True)


class Limits(Strict):
    """What an endpoint may be asked for, by all replicas together. None: no limit but what its headers teach."""

    requests_per_minute: float | None = Field(None, gt=0, allow_inf_nan=False, description="requests a minute")
    tokens_per_minute: float | None = Field(None, gt=0, allow_inf_nan=False, description="tokens a minute, in and out")
    concurrency: int | None = Field(None, gt=0, le=100_000, description="requests in flight")


class Price(Strict):
    """US dollars per million tokens."""

    input: float = Field(ge=0, description="per million tokens in")
    output: float = Field(ge=0, description="per million tokens out, reasoning included")
    cached_input: float | None = Field(None, ge=0, description="per million cached tokens in; None: as `input`")
    cache_write: float | None = Field(
        None, ge=0, description="per million tokens in that are written to a cache; None: as `input`"
    )
    batch: float = Field(0.5, ge=0, le=1, description="what a token costs in `mode: batch`, as a share of the above")

    @property
    def free(self) -> bool:
        return not self.input and not self.output

    def usd(self, input_tokens: int, output_tokens: int, cached_input_tokens: int = 0, written: int = 0) -> float:
        """Dollars; the tokens that were read from a cache or `written` to it are part of the input tokens."""
        cached = self.input if self.cached_input is None else self.cached_input
        usd = (input_tokens - cached_input_tokens) * self.input + cached_input_tokens * cached
        if written and self.cache_write is not None:
            usd += written * (self.cache_write - self.input)
        return (usd + output_tokens * self.output) / 1e6

    def most_usd(self, input_tokens: int, output_tokens: int) -> float:
        """Dollars at most, whatever a cache does."""
        cached, written = (input_tokens, 0), (0, input_tokens)
        return max(self.usd(input_tokens, output_tokens, *how) for how in ((0, 0), cached, written))

    def of(self, answer: Answer) -> float | None:
        """What an answer costs, in dollars; None where it does not say what it used."""
        if answer.input_tokens is None or answer.output_tokens is None:
            return None
        # An endpoint that counts wrongly must not give money back.
        cached = min(answer.cached_input_tokens or 0, answer.input_tokens)
        written = min(answer.cache_write_tokens or 0, answer.input_tokens - cached)
        return self.usd(answer.input_tokens, answer.output_tokens, cached, written)


def _check_unknown(value: Any) -> Any:
    if value != UNKNOWN_PRICE:
        fix = "write `price: {input: 2.5, output: 10}`, US dollars per million tokens, or `price: unknown`"
        raise ValueError(f"is no price; {fix}")
    return value


Unknown = Annotated[Literal["unknown"], BeforeValidator(_check_unknown)]
AnyPrice = Annotated[Annotated[Price, Tag(MAPPING)] | Annotated[Unknown, Tag(PLAIN)], BY_SHAPE]


class Reask(Strict):
    """How many further times, at most, a request is asked whose answer is none. Without it such answers are kept."""

    refused: int = Field(0, ge=0, le=10, description="the model refused")
    truncated: int = Field(0, ge=0, le=10, description="max_tokens ended it")
    filtered: int = Field(0, ge=0, le=10, description="the provider's filter ended it")
    empty: int = Field(0, ge=0, le=10, description="it says nothing")
    unparsable: int = Field(0, ge=0, le=10, description="critic or judge: no verdict can be read in it")

    def limits(self) -> dict[str, int]:
        """The reasons for which anything is asked again."""
        return {reason: times for reason, times in self.model_dump().items() if times}


class ModelSpec(Strict):
    """One entry of a spec's `models`. A subclass has `provider: Literal["<its name>"]` and its own fields.

    The properties say what such a model can be; they may depend on its fields, so ask an instance.
    """

    provider: str

    measure: ClassVar[str] = ""
    """What an offline critic's scores are called."""

    @classmethod
    def provider_name(cls) -> str:
        """The name by which a spec asks for this provider."""
        (name,) = get_args(cls.model_fields["provider"].annotation)
        return str(name)

    @property
    def can_teach(self) -> bool:
        """Whether it can write demonstrations (and references)."""
        return False

    @property
    def can_compare(self) -> bool:
        """Whether it can say which of two given completions is better: a critic or judge."""
        return False

    @property
    def can_reward(self) -> bool:
        """Whether it can grade a single completion within a training, thousands of times and without an endpoint."""
        return False

    @property
    def offline(self) -> bool:
        """Whether it answers without any endpoint."""
        return False

    @property
    def imitation(self) -> bool:
        """Whether it is built from a teacher's completions, so that it measures imitation, not quality."""
        return False

    @property
    def records_preferences(self) -> bool:
        """Whether it is recorded labels of recorded pairs: a critic for `pairs: recorded` alone."""
        return False

    @property
    def is_gold(self) -> bool:
        """Whether its labels are taken as right, so that other critics' errors can be counted against them."""
        return False

    @property
    def dataset(self) -> str | None:
        """The name of the dataset that it reads, to be pinned by `resolve`; None if it reads none."""
        return None

    @property
    def dataset_field(self) -> str:
        """The field that names the dataset."""
        return "preferences" if self.records_preferences else "completions"

    @property
    def asks(self) -> Ask | None:
        """How it is asked as a critic or judge; None for one that nobody asks over HTTP."""
        return None

    @property
    def gives_logprobs(self) -> bool:
        """Whether its endpoint may give log-probabilities. The first answer tells whether it does."""
        return self.asks is not None

    @property
    def parts(self) -> tuple[str, ...]:
        """The names of the models that it is made of."""
        return ()

    @property
    def base_model(self) -> str | None:
        """A hub's or uploaded model that it runs, to be pinned by `resolve`; None if it runs none."""
        return None

    def needs(self) -> Mapping[str, str]:
        """The names of other models of the spec whose completions it needs, by the field that names them."""
        return {} if self.asks is None else {f"ask.{field}": model for field, model in self.asks.models().items()}

    @property
    def given_price(self) -> Price | Literal["unknown"] | None:
        """What the spec says of its price."""
        return getattr(self, "price", None)

    @property
    def listed_at(self) -> tuple[str, str] | None:
        """The host and the model's name under which `shared/prices.csv` may have its price; None: it costs nothing
        unless the spec gives a price."""
        return None

    def identity(self) -> dict[str, Any]:
        """All that changes its answers and nothing else (no key, limit, price or address of a managed process).

        `dataset` in it is the content hash of recorded answers; `sampling` and `system` are what requests carry, and
        `reask` says which answers are asked for again.
        """
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """What a worker needs and no key holds: the credential's name, limits and prices."""
        return {}

    @classmethod
    def connect(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> ChatModel:
        """A client for the model of this identity, made on the event loop that will use it.

        Raises:
            BadInput: the credential may not be read, or this provider has no endpoint.
        """
        raise BadInput(f"models.{endpoint.name}.provider", f"{identity['provider']} answers no requests", "")

    @classmethod
    def connect_batches(cls, identity: Mapping[str, Any], endpoint: Endpoint, settings: Settings) -> BatchAPI:
        """The Batch API of the model of this identity, for any thread.

        Raises:
            BadInput: the credential may not be read, or this provider has no Batch API.
        """
        raise BadInput(f"models.{endpoint.name}.mode", f"{identity['provider']} has no Batch API", "")

    @classmethod
    def scorer(
        cls, identity: Mapping[str, Any], tables: Mapping[str, pa.Table]
    ) -> Callable[[Candidate], float | None] | None:
        """What a critic without an endpoint scores a completion with; the higher one of a pair wins.

        `tables` are its stage's inputs, and `dataset` the rows of the identity's. A score is None where there is
        nothing to score by. None instead of a function: such a model must be asked.
        """
        return None


class EndpointSpec(ModelSpec):
    """A model behind an HTTP endpoint; it can teach and compare."""

    api_key: ApiKeyName | None = Field(None, description="env:NAME, one of the operator's TOUCHSTONE_API_KEYS")
    limits: Limits = Limits()
    price: AnyPrice | None = Field(
        None, description="US dollars per million tokens; None: the list price, where there is one"
    )
    system: str | None = Field(None, description="a system prompt before every request")
    temperature: float | None = Field(
        None, ge=0, le=2, description="None: 0 for a critic or judge, else the endpoint's default"
    )
    top_p: float | None = Field(None, gt=0, le=1, description="None: the endpoint's default")
    max_tokens: int = Field(1024, gt=0, description="the longest answer, in tokens")
    reask: Reask = Field(Reask(), description="which answers that are none are asked for again; none by default")
    ask: SerializeAsAny[AnyAsk] | None = Field(None, description="as a critic or judge: how it is asked")

    @model_validator(mode="before")
    @classmethod
    def _hide_literal_key(cls, data: Any) -> Any:
        # The field's own check refuses a literal key; hidden here, no error can repeat it.
        key = data.get("api_key") if isinstance(data, dict) else None
        if key is not None and not (isinstance(key, str) and KEY_NAME.fullmatch(key)):
            return data | {"api_key": HIDDEN}
        return data

    @property
    def can_teach(self) -> bool:
        return True

    @property
    def can_compare(self) -> bool:
        return True

    @property
    def asks(self) -> Ask:
        return self.ask or DEFAULT

    def sampling(self) -> dict[str, Any]:
        """The sampling parameters that are set."""
        return {
            name: value for name in ("temperature", "top_p", "max_tokens") if (value := getattr(self, name)) is not None
        }

    def options(self) -> dict[str, Any]:
        values: dict[str, Any] = {"limits": self.limits.model_dump(exclude_none=True)}
        if self.api_key:
            values["api_key"] = self.api_key
        if isinstance(self.price, Price):
            values["price"] = self.price.model_dump(exclude_none=True)
        return values

    def _asked(self) -> dict[str, Any]:
        """The part of the identity that says how it is asked."""
        given = {"system": self.system, "reask": self.reask.limits()}
        return {"sampling": self.sampling()} | {name: value for name, value in given.items() if value}


def dataset_name(reference: str) -> str:
    """The NAME of `dataset:NAME`."""
    return reference.removeprefix(DATASET)
