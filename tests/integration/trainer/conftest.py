"""A place to train in, and committed inputs for it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from shared.artifacts import CommitRef
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.trainer import tiny
from tests.integration.trainer.place import Place


@pytest.fixture
def place(settings: Settings, store: S3Store, redis_server: redis.Redis) -> Iterator[Place]:
    made = Place(settings, store, redis_server)
    yield made
    made.close()


@pytest.fixture
def base(place: Place, tmp_path: Path) -> CommitRef:
    """A committed base model."""
    return place.commit_folder("base", tiny.save_model(tmp_path / "base"))


@pytest.fixture
def demonstrations(place: Place) -> CommitRef:
    return place.commit("demonstrations", {"completions.parquet": tiny.demonstrations()})


@pytest.fixture
def preferences(place: Place) -> CommitRef:
    return place.commit("preferences", {"preferences.parquet": tiny.preferences()})
