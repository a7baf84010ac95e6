"""Answers of the stand-in: the simulator's, with what the faults make of them. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from services.simulator.completions import Refusal, complete
from services.simulator.standin.faults import Content, Faults
from shared.world import names
from shared.world.models import CriticSettings

MOST_TOP_LOGPROBS = 20
LABELS = ("A", "B", "tie")
LEAST_SURE, MOST_SURE = 0.5, 0.999
SORRY = "I'm sorry, but I cannot help with that."
NO_VERDICT = "Both answers have something to be said for them."
SHORT = 4
"""A critic that is asked for log-probabilities and may not say more words than this begins with its verdict's label."""


def answer(request: Any, faults: Faults, content: str, attempt: int) -> dict[str, Any]:
    """The response to a chat completion request; `content` is its hash, `attempt` how often it came before.

    Raises:
        Refusal: as `completions.complete`, or log-probabilities are asked for where there are none.
    """
    wants = isinstance(request, dict) and faults.logprobs and bool(request.get("logprobs"))
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
            choice["logprobs"] = _logprobs(choice["message"]["content"], body["model"], _top(request))
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


def _top(request: dict[str, Any]) -> int:
    top = request.get("top_logprobs") or 0
    if not isinstance(top, int) or not 0 <= top <= MOST_TOP_LOGPROBS:
        raise Refusal(400, f"Invalid value for 'top_logprobs': {top!r}.", "top_logprobs", "invalid_value")
    return top


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


def _logprobs(text: str, model: str, top: int) -> dict[str, Any]:
    """Each word is a token. A verdict's label is as likely as its critic is right; all other words are certain."""
    words = re.findall(r"\s*\S+", text)
    settings = names.parse(model)
    content = []
    for at, word in enumerate(words):
        label = word.strip()
        if isinstance(settings, CriticSettings) and label in LABELS and at == len(words) - 1:
            chances = _chances(label, settings.error_rate)
            space = word[: len(word) - len(label)]
            ranked = {space + name: math.log(chance) for name, chance in chances.items()}
        else:
            ranked = {word: 0.0}
        tops = [_token(name, value) for name, value in list(ranked.items())[:top]]
        content.append(_token(word, ranked[word]) | {"top_logprobs": tops})
    return {"content": content, "refusal": None}


def _chances(label: str, error_rate: float) -> dict[str, float]:
    """Of each label, the likeliest first: the one that is said has the chance to be right."""
    sure = min(MOST_SURE, max(LEAST_SURE, 1 - error_rate))
    others = [name for name in LABELS if name != label]
    first = 0.5 if label == "tie" else 0.9
    return {label: sure, others[0]: (1 - sure) * first, others[1]: (1 - sure) * (1 - first)}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}
