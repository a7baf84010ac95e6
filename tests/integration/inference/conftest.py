"""Tiny models, an engine in a process of its own as anybody may start one, and a place to run stages in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from services.inference.keeper import Keeper
from shared.settings import Settings
from shared.store import S3Store
from tests.integration.inference.engine_process import announced, start_engine
from tests.integration.inference.place import Place
from tests.unit.inference.tiny_models import byte_tokenizer, save, tiny_llama


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose tokens are bytes."""
    tokenizer = byte_tokenizer()
    return save(tmp_path_factory.mktemp("models") / "tiny", tiny_llama(tokenizer), tokenizer)


@pytest.fixture(scope="session")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another one, of other weights and without a chat template."""
    tokenizer = byte_tokenizer(None)
    return save(tmp_path_factory.mktemp("models") / "other", tiny_llama(tokenizer, seed=1), tokenizer)


@pytest.fixture(scope="session")
def engine_url(model_folder: Path) -> Iterator[str]:
    """The URL of an engine that serves `tiny` for the whole session."""
    process = start_engine(model_folder)
    yield announced(process)
    process.terminate()
    assert process.wait(10) == 0


@pytest.fixture(scope="session")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """A keeper for the session, since its host takes seconds to start; its engines may be killed."""
    made = Keeper(Settings(data_dir=tmp_path_factory.mktemp("keeper")))
    yield made
    made.close()


@pytest.fixture
def place(settings: Settings, store: S3Store, redis_server: redis.Redis, keeper: Keeper) -> Iterator[Place]:
    """Runs stages as the worker does, in this process."""
    made = Place(settings, store, redis_server, keeper)
    yield made
    made.close()
