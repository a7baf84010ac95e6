from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from services.inference.embedded.checkpoint import Checkpoint, context_limit, end_tokens
from services.inference.embedded.decoder import Decoder
from tests.unit.inference.tiny_models import byte_tokenizer, tiny_llama


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def checkpoint() -> Checkpoint:
    tokenizer = byte_tokenizer()
    model = tiny_llama(tokenizer)
    return Checkpoint("tiny", model, tokenizer, end_tokens(model, tokenizer), context_limit(model.config))


@pytest.fixture
def decoder(checkpoint: Checkpoint) -> Iterator[Decoder]:
    yield Decoder(checkpoint, min_rows=4)
