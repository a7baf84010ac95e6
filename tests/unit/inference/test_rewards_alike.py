"""A reward model says the same of a completion in a training as in a stage: no service may import the other's code."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.inference.rewarding import Rater
from tests.unit.inference.tiny_models import byte_tokenizer, save, tiny_reward
from workers.trainer.rewards import scores

TEXTS = [("Say.", "yes"), ("Say.", "no, but at length"), ("Say.", ""), ("Say what is long.", "é" * 300)]


@pytest.mark.parametrize("template", [True, False])
@pytest.mark.parametrize("longest", [None, 24])
def test_in_a_training_and_in_a_stage(tmp_path: Path, template: bool, longest: int | None) -> None:
    tokenizer = byte_tokenizer() if template else byte_tokenizer(None)
    model = tiny_reward(tokenizer)
    rater = Rater(save(tmp_path / "m", model, tokenizer), "float32", longest)
    theirs = rater.rewards([rater.tokens(*texts) for texts in TEXTS], 2, lambda done: None)
    ours = scores(model, tokenizer, TEXTS, longest)
    assert len(set(ours)) == len(TEXTS) and ours == pytest.approx(theirs, abs=1e-5)
