from __future__ import annotations

from typing import Any

import pytest

from services.inference.clients import prompt_seed, sample_seed
from services.inference.engines import parse_engine
from services.inference.engines.base import Serving
from services.inference.score import common_prefix
from shared.errors import BadInput


@pytest.mark.parametrize(
    ("value", "serving"),
    [
        ("embedded", Serving("embedded")),
        ("tgi", Serving("tgi")),
        ("vllm", Serving("vllm")),
        ("http://gpu-1:8000", Serving("openai", url="http://gpu-1:8000")),
        ({"openai": "http://gpu-1:8000/v1"}, Serving("openai", url="http://gpu-1:8000/v1")),
        ("tgi:http://gpu-1:8080", Serving("tgi", url="http://gpu-1:8080")),
        ("openai:https://gpu-1/v1", Serving("openai", url="https://gpu-1/v1")),
        ({"tgi": "http://gpu-1:8080"}, Serving("tgi", url="http://gpu-1:8080")),
    ],
)
def test_an_engine_is_named_or_reached_by_its_url(value: Any, serving: Serving) -> None:
    assert parse_engine(value) == serving


@pytest.mark.parametrize(
    "value",
    [
        "abacus",
        "openai",
        "vllm:http://gpu-1:8000",
        "tgi:gpu-1",
        "embedded:http://x",
        "ftp://x",
        {"tgi": 8080},
        {"embedded": "http://x"},
        {"a": 1, "b": 2},
        None,
        7,
    ],
)
def test_anything_else_is_refused_with_what_would_be_right(value: Any) -> None:
    with pytest.raises(BadInput, match="Use one of: embedded"):
        parse_engine(value)


def test_a_prompts_seed_depends_on_seed_and_prompt_alone() -> None:
    assert prompt_seed(0, "p1") == prompt_seed(0, "p1")
    seeds = {prompt_seed(seed, f"p{number}") for seed in range(3) for number in range(300)}
    assert len(seeds) == 900
    assert all(0 <= seed < 2**31 for seed in seeds)


def test_each_sample_has_a_seed_of_its_own_and_the_first_the_prompts() -> None:
    assert sample_seed(5, 0) == 5
    assert len({sample_seed(5, index) for index in range(100)}) == 100


def test_common_prefix() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4, 5]) == 2
    assert common_prefix([], [1]) == 0
    assert common_prefix([1, 2], [1, 2, 3]) == 2
