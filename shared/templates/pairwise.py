"""The default template of a pairwise comparison (after Zheng et al. 2023, "Judging LLM-as-a-Judge", section 3)."""

from __future__ import annotations

from shared.templates.defaults import PAIRWISE


def render_pairwise(prompt: str, answer_a: str, answer_b: str) -> str:
    """The text of the user message that asks which of two answers is better."""
    return PAIRWISE.render({"prompt": prompt, "answer_a": answer_a, "answer_b": answer_b})


def split_pairwise(text: str) -> tuple[str, str, str] | None:
    """(prompt, answer A, answer B) exactly as `render_pairwise` was given them; None if it did not make this text."""
    found = PAIRWISE.split(text)
    return None if found is None else (found["prompt"], found["answer_a"], found["answer_b"])
