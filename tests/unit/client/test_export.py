"""`touchstone export` without a server: where it writes, and which experiment is meant."""

from __future__ import annotations

import httpx
import pytest
from touchstone_client import Client, NotFound
from touchstone_client.export import _experiment, folder_name


def client(*ids: str) -> Client:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"items": [{"id": id, "name": "x"} for id in ids], "next_cursor": None})

    return Client(http=httpx.Client(transport=httpx.MockTransport(answer), base_url="http://test"))


def test_a_folder_is_called_after_experiment_and_arm() -> None:
    found = {"name": "mine", "arm": "rlaif-weak [critic=gpt-4,fraction=0.1]"}
    assert folder_name(found, None) == "mine-rlaif-weak-critic=gpt-4-fraction=0.1"
    assert folder_name(found, 3).endswith("-seed3")
    assert folder_name({"name": "..", "arm": "/"}, None) == "export"


def test_without_a_name_the_newest_experiment_is_meant() -> None:
    assert _experiment(client("new", "old"), "") == "new"
    assert _experiment(client("new", "old"), "old") == "old"
    with pytest.raises(NotFound, match="no experiment yet"):
        _experiment(client(), "")
