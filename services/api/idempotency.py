"""`Idempotency-Key`: the same key and body give the same experiment, another body is refused.

The experiment's id is made from the key, so the store itself knows the answer: nothing is lost with Redis or with an
API that is killed between two writes. Redis only keeps two requests with one key from being served at the same moment.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from services.api.problems import Problem
from shared.canonical import sha256_hex
from shared.errors import FieldError
from shared.experiments import PREFIX, new_id, read_summary
from shared.leases import RELEASE
from shared.store import NotFound, ObjectStore

LONGEST_MS = 15_000
PATIENCE_S = 20.0
"""More than the above: after an API that was killed amid a request, the same request again waits and is served."""


def keyed_id(key: str | None, who: str) -> str:
    """The id of a new experiment; of two callers with different tokens, equal keys are different ones."""
    return new_id(None if key is None else f"{sha256_hex(who)}:{key}")


@contextmanager
def one_at_a_time(client: redis.Redis, id: str) -> Iterator[None]:
    """Hold the id while the block runs. Raises `Problem` (409) if another request holds it for too long."""
    name, owner = f"creating:{id}", uuid.uuid4().hex
    deadline = time.monotonic() + PATIENCE_S
    while not client.set(name, owner, nx=True, px=LONGEST_MS):
        if time.monotonic() > deadline:
            raise Problem(
                409, "a request with this Idempotency-Key is still being served", headers={"Retry-After": "1"}
            )
        time.sleep(0.02)
    try:
        yield
    finally:
        client.eval(RELEASE, 1, name, owner)


def already_created(store: ObjectStore, client: redis.Redis, id: str, text: str) -> dict[str, Any] | None:
    """The experiment that an earlier request with this key created; None if there was none.

    Raises:
        Problem: 409, that request had another body.
    """
    summary = read_summary(client, store, id)
    if summary is None:
        return None
    try:
        same = store.get(f"{PREFIX}{id}/spec.txt") == text.encode()
    except NotFound:
        same = False
    if not same:
        fix = "Use a new key for a new spec."
        error = FieldError("Idempotency-Key", f"was used for experiment {id} with another body", fix)
        raise Problem(409, str(error), [error])
    return summary
