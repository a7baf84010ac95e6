"""A simulated teacher."""

from __future__ import annotations

from shared.world.corruption import corrupt
from shared.world.draws import generator
from shared.world.models import TeacherSettings
from shared.world.tasks import gold, parse


def teach(settings: TeacherSettings, prompt: str, sample: tuple[int, int] = (0, 0)) -> str:
    """The teacher's answer: right with probability `accuracy`. `sample` is (the request's seed, which of its answers).

    Whether a teacher knows an answer is drawn first and from one number, so of two teachers of one seed the more
    accurate one knows all that the other does.

    Raises `BadInput` for a prompt of another world.
    """
    rng = generator("teacher", settings.seed, prompt, *sample)
    knows = rng.random() < settings.accuracy
    return gold(prompt) if knows else corrupt(rng, parse(prompt))
