"""Answers of the stand-in: the simulator's, with what the faults make of them. Pure."""

from __future__ import annotations

from typing import Any

from services.simulator.completions import Refusal, complete, top_logprobs
from services.simulator.logprobs import logprobs
from services.simulator.standin.faults import Content, Faults
from shared.world import names

SORRY = "I'm sorry, but I cannot help with that."
NO_VERDICT = "Both answers have something to be said for them."
SHORT = 4
"""A critic that is asked for log-probabilities and may not say more words than this begins with its verdict's label."""


def answer(request: Any, faults: Faults, content: str, attempt: int) -> dict[str, Any]:
    """The response to a chat completion request; `content` is its hash, `attempt` how often it came before.

    Raises:
        Refusal: as `completions.complete`, or log-probabilities are asked for where there are none.
    """
    wants = isinstance(request, dict) and bool(request.get("logprobs"))
    if wants and not faults.logprobs:
        raise Refusal(400, "This endpoint does not support 'logprobs'.", "logprobs", "unsupported_parameter")
    given = {name: value for name, value in request.items() if "logprobs" not in name} if wants else request
    labels = wants and _starts_with_label(given)
    if labels:
        given = {name: value for name, value in given.items() if name not in {"max_tokens", "max_completion_tokens"}}
    body = complete(given)
    text = last_text(request)
    fault = faults.content(content, attempt, text)
    for choice in body["choices"]:
        if labels:
            _say(choice, choice["message"]["content"].rpartition(" ")[2])
        _spoil(choice, fault)
        if wants and choice["message"]["content"]:
            settings = names.parse(body["model"])
            choice["logprobs"] = logprobs(choice["message"]["content"], settings, top_logprobs(request))
    _use(body, request, faults, content)
    return body


def last_text(request: Any) -> str:
    """The last message's text, as far as there is one."""
    messages = request.get("messages") if isinstance(request, dict) else None
    last = messages[-1] if isinstance(messages, list) and messages else None
    return str(last.get("content", "")) if isinstance(last, dict) else ""


def estimate(request: Any) -> int:
    """Tokens that a request may use, as a provider estimates before it answers: characters / 4, and max_tokens."""
    if not isinstance(request, dict):
        return 0
    most = request.get("max_completion_tokens") or request.get("max_tokens") or 16
    return len(last_text(request)) // 4 + (most if isinstance(most, int) else 16)


def _starts_with_label(request: dict[str, Any]) -> bool:
    most = request.get("max_completion_tokens") or request.get("max_tokens")
    return isinstance(most, int) and most <= SHORT and not str(request.get("model", "")).startswith("teacher")


def _say(choice: dict[str, Any], text: str, finish_reason: str = "stop") -> None:
    choice["message"]["content"], choice["finish_reason"] = text, finish_reason


def _spoil(choice: dict[str, Any], fault: Content | None) -> None:
    words = choice["message"]["content"].split()
    match fault:
        case "refusal":
            choice["message"] |= {"content": None, "refusal": SORRY}
        case "content_filter":
            _say(choice, "", "content_filter")
        case "length":
            _say(choice, " ".join(words[: len(words) // 2]), "length")
        case "unparsable":
            _say(choice, NO_VERDICT)


def _use(body: dict[str, Any], request: dict[str, Any], faults: Faults, content: str) -> None:
    """Usage as the faults say."""
    usage = body["usage"]
    given, used = faults.tokens("input", content), faults.tokens("output", content)
    if given is not None:
        usage["prompt_tokens"] = given
    if used is not None:
        asked = request.get("max_completion_tokens") or request.get("max_tokens") or used
        most = asked if faults.heed_max_tokens else used
        usage["completion_tokens"] = min(used, most) * len(body["choices"])
    if faults.cached_share:
        cached = int(usage["prompt_tokens"] * faults.cached_share)
        usage["prompt_tokens_details"] = {"cached_tokens": cached}
    usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
