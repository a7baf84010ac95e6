"""An eval prompt among the training prompts is seen in what the split stage wrote, not taken on trust."""

from __future__ import annotations

import pytest

from services.analyst.reading import eval_in_training


def rows(**texts: str) -> list[dict[str, str]]:
    return [{"split": split, "prompt": text} for split, text in texts.items()]


@pytest.mark.parametrize("split", ["train", "dev"])
def test_the_same_text_in_two_splits_is_a_leak_whatever_its_case_and_spaces(split: str) -> None:
    assert eval_in_training([*rows(eval="Sort  THESE"), *rows(**{split: "sort these"})])


def test_distinct_texts_are_none() -> None:
    assert not eval_in_training(rows(eval="sort these", train="sort those", dev="reverse these"))
