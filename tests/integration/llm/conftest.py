"""A misbehaving provider, and a session as a worker process has one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from shared.llm import claims
from shared.llm.session import Session
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.llm import standin
from tests.integration.llm.standin import StandIn


@pytest.fixture(autouse=True)
def brisk_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the wait after a wiped Redis; every test begins with one."""
    monkeypatch.setattr(claims, "TICK", claims.TICK / 4)
    monkeypatch.setattr(claims, "GRACE", claims.GRACE / 4)


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with standin.running() as made:
        yield made


@pytest.fixture
def new_session(
    settings: Settings, store: S3Store, redis_server: redis.Redis
) -> Iterator[Callable[[Path | None], Session]]:
    """Makes sessions on the test's store and Redis; a data folder of its own stands for another host."""
    made: list[Session] = []

    def make(data_dir: Path | None = None) -> Session:
        own = settings if data_dir is None else settings.model_copy(update={"data_dir": data_dir})
        made.append(Session(own, store, redis_server))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def session(new_session: Callable[[Path | None], Session]) -> Session:
    return new_session(None)
