"""The inference queue's tasks, and the engine that this process keeps for them."""

from __future__ import annotations

import atexit
import logging
from functools import cache

from services.inference.best import best
from services.inference.keeper import Keeper
from services.inference.reward import Raters, reward
from services.inference.sample import sample
from services.inference.score import score
from shared.queues import celery_app
from shared.runner import register
from shared.settings import get_settings


@cache
def keeper() -> Keeper:
    """This process's keeper, made at its first unit."""
    made = Keeper(get_settings())
    atexit.register(made.close)
    return made


@cache
def raters() -> Raters:
    """This process's raters, made at its first unit."""
    made = Raters()
    atexit.register(made.close)
    return made


# The clients say a line for each request, thousands a stage.
logging.getLogger("httpx2").setLevel(logging.WARNING)

app = celery_app("inference")
register(app, "sample", lambda ctx: sample(ctx, keeper()))
register(app, "reward", lambda ctx: reward(ctx, raters()))
register(app, "best", best)
register(app, "score", lambda ctx: score(ctx, keeper()))
