"""Log-probabilities of a simulated model's words, in OpenAI's shape. Pure."""

from __future__ import annotations

import math
import re
from typing import Any

from shared.world.models import CriticSettings, ModelSettings

MOST = 20
"""As many of the likeliest tokens can be asked for."""
LABELS = ("A", "B", "tie")
LEAST_SURE, MOST_SURE = 0.5, 0.999


def logprobs(text: str, settings: ModelSettings, top: int) -> dict[str, Any]:
    """Each word is a token. A verdict's label is as likely as its critic is right; all other words are certain."""
    words = re.findall(r"\s*\S+", text)
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
