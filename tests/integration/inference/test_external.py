"""Servers that run already, reached by their URL: spoken to as TGI, and as any OpenAI-compatible server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.local.ports import free_port
from tests.integration.inference.place import SAMPLING, Place

PAIR = {"prompt_id": "a", "prompt": "Why?", "completion_a": "Because.", "completion_b": "No."}


@pytest.mark.parametrize("client", ["tgi", "openai", None])
def test_a_running_server_samples_by_its_own_client(place: Place, engine_url: str, client: str | None) -> None:
    engine: Any = engine_url if client is None else {client: f"{engine_url}/v1"}
    prompts = place.prompts(6)
    rows = place.rows(place.unit("sample", {**SAMPLING, "engine": engine, "n": 2}, prompts=prompts))
    again = place.rows(place.unit("sample", {**SAMPLING, "engine": engine, "n": 2, "top_p": 1.0}, prompts=prompts))
    assert rows == again
    assert [row["sample_index"] for row in rows] == [0, 1] * 6
    assert len({row["completion"] for row in rows}) == 12
    assert all(1 <= row["output_tokens"] <= 12 and row["input_tokens"] > 6 for row in rows)


def test_tgis_client_and_openais_get_the_same_texts(place: Place, engine_url: str, model_folder: Path) -> None:
    prompts = place.prompts(6)
    units = [
        place.unit("sample", {**SAMPLING, "engine": engine, "temperature": temperature}, prompts=prompts)
        for temperature in (0.0, 0.7)
        for engine in ({"tgi": engine_url}, {"openai": engine_url})
    ]
    greedy_tgi, greedy_openai, sampled_tgi, sampled_openai = (place.rows(unit) for unit in units)
    assert sampled_tgi == sampled_openai
    assert greedy_tgi == greedy_openai


def test_an_openai_compatible_server_scores_and_tgi_is_refused(place: Place, engine_url: str) -> None:
    preferences = place.preferences([PAIR])
    rows = place.rows(place.unit("score", {"engine": engine_url}, preferences=preferences))
    assert [row["tokens"] for row in rows] == [len("Because.") + 1, len("No.") + 1]
    marker = place.run(place.unit("score", {"engine": {"tgi": engine_url}}, preferences=preferences))
    assert marker.permanent
    assert "TGI cannot score" in marker.message


def test_a_server_that_is_away_makes_the_stage_wait_and_names_the_field(place: Place) -> None:
    url = f"http://127.0.0.1:{free_port(frozenset())}"
    marker = place.run(place.unit("sample", {**SAMPLING, "engine": url}, prompts=place.prompts(1)))
    assert marker.outcome == "waiting"
    assert url in marker.message
    assert "policies.<name>.engine" in marker.message
