"""The requests that the engine takes: OpenAI's, with vLLM's `ignore_eos`, `return_token_ids` and `/tokenize`.

What this engine cannot do is refused, not ignored, unless it is asked for in its neutral value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, ValidationError

from shared.errors import BadInput

MOST_CHOICES = 128
MOST_LOGPROBS = 20


def _neutral(*allowed: Any) -> AfterValidator:
    def check(value: Any) -> Any:
        if value is not None and value not in allowed:
            raise ValueError("is not supported by this engine: leave it out")
        return value

    return AfterValidator(check)


Unsupported = Annotated[Any, _neutral()]


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="forbid")

    include_usage: bool = False


class Sampling(BaseModel):
    """What chat and plain completions have in common."""

    model_config = ConfigDict(extra="forbid")

    model: str
    n: Annotated[int, Field(ge=1, le=MOST_CHOICES)] | None = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[StrictInt, Field(ge=-(2**63), lt=2**64)] | None = None
    stop: str | list[str] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False
    return_token_ids: bool = False

    user: str | None = None
    frequency_penalty: Annotated[float | None, _neutral(0)] = None
    presence_penalty: Annotated[float | None, _neutral(0)] = None
    logit_bias: Annotated[dict[str, float] | None, _neutral({})] = None

    @property
    def stops(self) -> tuple[str, ...]:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return tuple(stop for stop in stops if stop)


class TextPart(BaseModel):
    """A message's content may come in parts; this engine reads text alone."""

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn. Fields of other turns (tool calls, names) are refused where they say something."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[TextPart]
    name: Unsupported = None
    tool_calls: Annotated[Any, _neutral([])] = None
    tool_call_id: Unsupported = None

    def plain(self) -> dict[str, str]:
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": self.role, "content": content}


class ChatRequest(Sampling):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None

    response_format: Annotated[Any, _neutral({"type": "text"})] = None
    tools: Annotated[Any, _neutral([])] = None
    tool_choice: Annotated[Any, _neutral("none", "auto")] = None
    tool_prompt: Unsupported = None


class CompletionRequest(Sampling):
    """`POST /v1/completions`: text or token ids, one prompt or several."""

    prompt: str | list[str] | list[StrictInt] | list[list[StrictInt]]
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    logprobs: Annotated[int, Field(ge=0, le=MOST_LOGPROBS)] | None = None
    echo: bool | None = None

    best_of: Annotated[int | None, _neutral(1)] = None
    suffix: Annotated[str | None, _neutral("")] = None

    @property
    def prompts(self) -> list[str | list[int]]:
        if isinstance(self.prompt, str) or (self.prompt and isinstance(self.prompt[0], int)):
            return [self.prompt]
        return list(self.prompt)  # type: ignore[arg-type]


class TokenizeRequest(BaseModel):
    """`POST /tokenize`, as vLLM's: the tokens of a text, or of a conversation by the chat template."""

    model_config = ConfigDict(extra="forbid")

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool = True


def bad_request(error: ValidationError) -> BadInput:
    """A request's first mistake, by its field."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"]) or "body"
    if first["type"] == "extra_forbidden":
        return BadInput(field, "is no parameter of this endpoint", "Leave it out.")
    return BadInput(field, first["msg"].removeprefix("Value error, "), "")
