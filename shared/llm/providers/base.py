"""What every provider is: a part of the spec that knows its identity, and how to reach what it names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.errors import BadInput

if TYPE_CHECKING:
    import pyarrow as pa

    from shared.comparisons import Comparison, Verdicts
    from shared.llm.chat import ChatModel
    from shared.llm.endpoints import Endpoint
    from shared.settings import Settings

HIDDEN = "(not shown)"
DATASET = "dataset:"
KEY_NAME = re.compile(r"env:[A-Za-z_][A-Za-z0-9_]*")


def _check_key_name(value: str) -> str:
    if not KEY_NAME.fullmatch(value):
        raise ValueError("write env:NAME, the environment variable that holds the key; a spec never holds a key itself")
    return value


ApiKeyName = Annotated[str, AfterValidator(_check_key_name)]
DatasetName = Annotated[str, StringConstraints(pattern=r"^dataset:.+$")]
BaseUrl = Annotated[
    str, StringConstraints(pattern=r"^https?://[^/\s@?#]+(/[^\s?#]*)?$"), AfterValidator(lambda url: url.rstrip("/"))
]
"""An http(s) URL without user, password or query; a slash at its end makes no difference."""
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Strict(BaseModel):
    """A part of the spec: unknown fields are refused, and errors never repeat what was given."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(Strict):
    """What an endpoint may be asked for. None: no limit of ours."""

    requests_per_minute: float | None = Field(None, gt=0, description="requests a minute, all replicas together")
    tokens_per_minute: float | None = Field(None, gt=0, description="tokens a minute, in and out")
    concurrency: int | None = Field(None, gt=0, description="requests in flight")


class Price(Strict):
    """US dollars per million tokens."""

    input: float = Field(ge=0, description="per million tokens in")
    output: float = Field(ge=0, description="per million tokens out")

    def usd(self, input_tokens: int, output_tokens: int) -> float:
        return (input_tokens * self.input + output_tokens * self.output) / 1e6


class ModelSpec(Strict):
    """One entry of a spec's `models`. A subclass has `provider: Literal["<its name>"]` and its own fields.

    The properties say what such a model can be; they may depend on its fields, so ask an instance.
    """

    provider: str

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
    def dataset(self) -> str | None:
        """The name of the dataset that it reads, to be pinned by `resolve`; None if it reads none."""
        return None

    @property
    def towards_model(self) -> str | None:
        """The name of another model of the spec whose completions it needs."""
        return None

    def identity(self) -> dict[str, Any]:
        """All that changes its answers and nothing else (no key, limit, price or address of a managed process).

        `dataset` in it is the content hash of recorded answers; `sampling` and `system` are what requests carry.
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
    def compare_offline(
        cls, comparisons: Sequence[Comparison], tables: Mapping[str, pa.Table]
    ) -> list[Verdicts] | None:
        """The verdicts of a critic that needs no endpoint; `tables` are its stage's inputs. None: it must be asked."""
        return None


class EndpointSpec(ModelSpec):
    """A model behind an HTTP endpoint; it can teach and compare."""

    api_key: ApiKeyName | None = Field(None, description="env:NAME, one of the operator's TOUCHSTONE_API_KEYS")
    limits: Limits = Limits()
    price: Price | None = Field(None, description="US dollars per million tokens")
    system: str | None = Field(None, description="a system prompt before every request")
    temperature: float | None = Field(
        None, ge=0, le=2, description="None: 0 for a critic or judge, else the endpoint's default"
    )
    top_p: float | None = Field(None, gt=0, le=1, description="None: the endpoint's default")
    max_tokens: int = Field(1024, gt=0, description="the longest answer, in tokens")

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

    def sampling(self) -> dict[str, Any]:
        """The sampling parameters that are set."""
        return {
            name: value for name in ("temperature", "top_p", "max_tokens") if (value := getattr(self, name)) is not None
        }

    def options(self) -> dict[str, Any]:
        values: dict[str, Any] = {"limits": self.limits.model_dump(exclude_none=True)}
        if self.api_key:
            values["api_key"] = self.api_key
        if self.price:
            values["price"] = self.price.model_dump()
        return values

    def _asked(self) -> dict[str, Any]:
        """The part of the identity that requests carry."""
        return {"sampling": self.sampling()} | ({"system": self.system} if self.system else {})


def dataset_name(reference: str) -> str:
    """The NAME of `dataset:NAME`."""
    return reference.removeprefix(DATASET)
