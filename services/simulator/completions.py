"""`POST /v1/chat/completions`, without the HTTP: a request's JSON in, a response's JSON out. Pure."""

from __future__ import annotations

from typing import Any

from services.simulator.judging import judge, says_a_label
from services.simulator.logprobs import MOST, logprobs
from shared.errors import BadInput
from shared.world import names
from shared.world.models import ModelSettings, TeacherSettings
from shared.world.teacher import teach

UNSUPPORTED = ("stream", "tools", "functions", "response_format", "logit_bias", "audio", "modalities")
MOST_CHOICES = 128


class Refusal(Exception):
    """A request that is answered with an error, in OpenAI's shape."""

    def __init__(self, status: int, message: str, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        kind = "authentication_error" if status == 401 else "invalid_request_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


def complete(request: Any) -> dict[str, Any]:
    """The response to a chat completion request, but for its `id` and `created`.

    Tokens are words. Temperature and top_p are accepted and change nothing: a simulated model's chances are its
    settings.

    Raises:
        Refusal: the model is unknown (404), or the request is none that a simulated model answers (400).
    """
    if not isinstance(request, dict):
        raise Refusal(400, "The request's body must be a JSON object.")
    settings = _model(request.get("model"))
    for name in UNSUPPORTED:
        if request.get(name):
            raise Refusal(400, f"Simulated models do not support {name!r}.", name, "unsupported_parameter")
    text = _user_message(request.get("messages"))
    tops = top_logprobs(request) if request.get("logprobs") else None
    if tops is not None and (isinstance(settings, TeacherSettings) or not says_a_label(text)):
        problem = "Simulated models give 'logprobs' of a critic's label alone, where nothing else is asked for."
        raise Refusal(400, problem, "logprobs", "unsupported_parameter")
    seed = _integer(request, "seed", 0, None)
    most = _integer(request, "max_completion_tokens", _integer(request, "max_tokens", None, 1), 1)
    stops = _stops(request.get("stop"))
    choices = []
    used = 0
    for index in range(_integer(request, "n", 1, 1, MOST_CHOICES) or 1):
        content, finish_reason, tokens = _cut(_answer(settings, text, seed or 0, index), stops, most)
        used += tokens
        message = {"role": "assistant", "content": content, "refusal": None}
        likely = None if tops is None else logprobs(content, settings, tops)
        choices.append({"index": index, "message": message, "logprobs": likely, "finish_reason": finish_reason})
    given = sum(len((_content(message) or "").split()) for message in request["messages"])
    return {
        "object": "chat.completion",
        "model": names.encode(settings),
        "choices": choices,
        "usage": {"prompt_tokens": given, "completion_tokens": used, "total_tokens": given + used},
    }


def top_logprobs(request: dict[str, Any]) -> int:
    """For how many of the likeliest tokens the log-probability is wanted. Raises `Refusal`."""
    return _integer(request, "top_logprobs", 0, 0, MOST) or 0


def _answer(settings: ModelSettings, text: str, seed: int, index: int) -> str:
    try:
        if isinstance(settings, TeacherSettings):
            return teach(settings, text, (seed, index))
        said = judge(settings, text, seed)
    except BadInput as error:
        raise Refusal(400, str(error), "messages") from None
    if said is None:
        raise Refusal(
            400, "A simulated critic answers Touchstone's default templates and MT-Bench's alone.", "messages"
        )
    return said


def _model(name: Any) -> ModelSettings:
    if not isinstance(name, str):
        raise Refusal(400, "You must provide a model parameter.", "model")
    try:
        return names.parse(name)
    except BadInput as error:
        raise Refusal(404, str(error), "model", "model_not_found") from None


def _user_message(messages: Any) -> str:
    """The last message, which must be the user's."""
    if not isinstance(messages, list) or not messages or not all(isinstance(message, dict) for message in messages):
        raise Refusal(400, "'messages' must be a list of at least one message.", "messages")
    content = _content(messages[-1])
    if messages[-1].get("role") != "user" or content is None:
        raise Refusal(400, "The last of 'messages' must be a user's, with text as its content.", "messages")
    return content


def _content(message: dict[str, Any]) -> str | None:
    """A message's text, whether it is given as one string or in parts; None if it has anything else."""
    content = message.get("content")
    if not isinstance(content, list):
        return content if isinstance(content, str) else None
    texts = [part.get("text") if isinstance(part, dict) else None for part in content]
    return "".join(map(str, texts)) if texts and all(isinstance(text, str) for text in texts) else None


def _integer(
    request: dict[str, Any], name: str, default: int | None, least: int | None, most: int | None = None
) -> int | None:
    value = request.get(name)
    if value is None:
        return default
    below = least is not None and isinstance(value, int) and value < least
    above = most is not None and isinstance(value, int) and value > most
    if not isinstance(value, int) or isinstance(value, bool) or below or above:
        raise Refusal(400, f"Invalid value for {name!r}: {value!r}.", name, "invalid_value")
    return value


def _stops(stop: Any) -> list[str]:
    stops = [stop] if isinstance(stop, str) else stop or []
    if not isinstance(stops, list) or not all(isinstance(item, str) and item for item in stops):
        raise Refusal(400, "'stop' must be a string or a list of strings.", "stop")
    return stops


def _cut(text: str, stops: list[str], most: int | None) -> tuple[str, str, int]:
    """The text up to the first stop string and `most` words; why it ended; its words."""
    for stop in stops:
        text = text.partition(stop)[0]
    words = text.split()
    if most is None or len(words) <= most:
        return text, "stop", len(words)
    return " ".join(words[:most]), "length", most
