"""An experiment of a whole stack from its submission to its success, and what is seen of it from outside then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from touchstone_client import Client

from shared.experiments import read_summary
from tests.stack import Stack
from tests.waiting import wait_until


@dataclass(frozen=True)
class Finished:
    """What POST said, the summary, the report's JSON and the page."""

    created: dict[str, Any]
    summary: dict[str, Any]
    report: dict[str, Any]
    page: str

    @property
    def id(self) -> str:
        return str(self.created["id"])


def finished(stack: Stack, spec: str, folder: Path, timeout: float) -> Finished:
    """Submit a spec (YAML), wait until it has succeeded, and look."""
    path = folder / "spec.yaml"
    path.write_text(spec)
    with Client(stack.api_url) as client:
        created = dict(client.submit(path))
    id = str(created["id"])

    def state() -> str:
        found = read_summary(stack.redis, stack.store, id)
        return str(found["state"]) if found else "running"

    wait_until(lambda: state() != "running", timeout, "the experiment to finish", every=0.2)
    summary = read_summary(stack.redis, stack.store, id) or {}
    assert summary["state"] == "succeeded", [(row["kind"], row["error"]) for row in summary["stages"] if row["error"]]
    url = f"{stack.api_url}/v1/experiments/{id}/report"
    report = httpx.get(url, headers={"Accept": "application/json"}, timeout=30).json()
    page = httpx.get(f"{stack.api_url}/experiments/{id}", timeout=30).text
    return Finished(created, summary, report, page)
