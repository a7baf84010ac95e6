"""A simulated critic's words, in the form that each of Touchstone's own templates, or MT-Bench's, asks for. Pure."""

from __future__ import annotations

import re

from shared.templates.defaults import CHECKLIST, LABEL, PAIRWISE, RUBRIC, SCORE, SCORE_WITH_REFERENCE
from shared.templates.mt_bench import FIRST as MT_FIRST
from shared.templates.mt_bench import FIRST_WITH_REFERENCE as MT_FIRST_REF
from shared.templates.mt_bench import SECOND as MT_SECOND
from shared.templates.mt_bench import SECOND_WITH_REFERENCE as MT_SECOND_REF
from shared.world.critic import Verdict, prefer, rate
from shared.world.draws import uniform
from shared.world.models import CriticSettings

WORDS: dict[Verdict, str] = {
    "a": "Answer A is closer to what the prompt asks for.\nVerdict: A",
    "b": "Answer B is closer to what the prompt asks for.\nVerdict: B",
    "tie": "Neither answer is closer to what the prompt asks for.\nVerdict: tie",
}
_CRITERION = re.compile(r"^- ([^:\n]+):", re.MULTILINE)


def judge(settings: CriticSettings, text: str, seed: int) -> str | None:
    """What the critic says to a rendered template; None to any other text. Raises `BadInput` for a foreign prompt."""
    if shown := PAIRWISE.split(text):
        return WORDS[prefer(settings, shown["prompt"], shown["answer_a"], shown["answer_b"], seed=seed)]
    if shown := LABEL.split(text):
        return _label(settings, shown["prompt"], shown["answer_a"], shown["answer_b"], seed)
    if shown := SCORE_WITH_REFERENCE.split(text) or SCORE.split(text):
        rating = rate(settings, shown["prompt"], shown["answer"], seed=seed)
        return f"The answer is {rating:.0%} right.\nScore: {_on_scale(rating, shown)}"
    if shown := RUBRIC.split(text):
        rating = rate(settings, shown["prompt"], shown["answer"], seed=seed)
        return _lines(shown["criteria"], str(_on_scale(rating, shown)))
    if shown := CHECKLIST.split(text):
        rating = rate(settings, shown["prompt"], shown["answer"], seed=seed)
        return _lines(shown["criteria"], "yes" if rating == 1 else "no")
    if (shown := MT_FIRST_REF.split(text) or MT_FIRST.split(text)) is not None:
        return _in_brackets(rate(settings, shown["prompt"], shown["answer"], seed=seed))
    if (shown := MT_SECOND_REF.split(text) or MT_SECOND.split(text)) is not None:
        return _in_brackets(rate(settings, shown["question_2"], shown["answer_2"], seed=seed))
    return None


def says_a_label(text: str) -> bool:
    """Whether a rendered template asks for the label alone, so that its probability is the first token's."""
    return LABEL.split(text) is not None


def _label(settings: CriticSettings, prompt: str, first: str, second: str, seed: int) -> str:
    """One letter, as there is no tie to be said: then by chance, anew for each order."""
    verdict = prefer(settings, prompt, first, second, seed=seed)
    if verdict == "tie":
        verdict = "a" if uniform("label", settings.role, settings.seed, seed, prompt, first, second) < 0.5 else "b"
    return verdict.upper()


def _in_brackets(rating: float) -> str:
    """As MT-Bench asks for it: 1 to 10."""
    return f"The answer is {rating:.0%} right. Rating: [[{1 + round(rating * 9)}]]"


def _on_scale(rating: float, shown: dict[str, str]) -> int:
    low, high = int(shown["low"]), int(shown["high"])
    return low + round(rating * (high - low))


def _lines(criteria: str, mark: str) -> str:
    return "\n".join(f"{name}: {mark}" for name in _CRITERION.findall(criteria))
