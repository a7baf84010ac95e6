"""Wrong specs over HTTP: problem details that name the field and the fix, and never a crash."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient

from services.api.app import create_app
from shared.settings import Settings
from shared.store import MemoryStore
from shared.templates.uploads import read_templates
from shared.uploaded_templates import publish_templates
from tests.unit.bad_specs import BAD, UPLOADED
from tests.unit.specs import spec_with


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    store = MemoryStore()
    for name, text in UPLOADED.items():
        publish_templates(store, name, read_templates("t.txt", text.encode()))
    app = create_app(Settings(data_dir=tmp_path_factory.mktemp("data")), store)
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


def refused(response: Any) -> dict[str, str]:
    """The errors of a 422 by field, each a problem and how to mend it."""
    assert response.status_code == 422, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return {error["field"]: f"{error['problem']}. {error['fix']}" for error in response.json()["errors"]}


@pytest.mark.parametrize(("change", "field", "says"), BAD)
def test_a_wrong_spec_is_refused_by_field_and_fix(
    api: TestClient, change: dict[str, Any], field: str, says: str
) -> None:
    found = refused(api.post("/v1/experiments/plan", content=yaml.safe_dump(spec_with(**change)).encode()))
    assert field in found, found
    assert says.lower() in found[field].lower()
    assert not found[field].endswith(". "), "says how to mend it"


@pytest.mark.parametrize(
    ("line", "field", "says"),
    [
        ("budget_usd: .nan", "spec.budget_usd", "finite"),
        ("budget_usd: -.inf", "spec.budget_usd", "finite"),
        ("budget_usd: 1\nbudget_usd: 2", "spec.budget_usd", "twice"),
        ("budget_usd:\n\t- 5", "spec", "line"),
        ("worth: !!python/object/apply:os.system [ls]", "spec", "not YAML"),
        ("looks: *nowhere", "spec", "line"),
        ("looks: yes", "looks", "Write the number"),
        ("7: 8", "spec", "is no text"),
        ("seeds: &a [*a]", "spec", "itself"),
    ],
)
def test_what_yaml_makes_of_a_slip_is_refused(api: TestClient, line: str, field: str, says: str) -> None:
    text = yaml.safe_dump(spec_with(), sort_keys=False) + line + "\n"
    found = refused(api.post("/v1/experiments/plan", content=text.encode()))
    assert says in found[field]


@pytest.mark.parametrize("limits", [{}, {"requests_per_minute": None}, {"requests_per_minute": 0.5, "concurrency": 1}])
def test_no_limits_and_small_ones_are_no_mistake(api: TestClient, limits: dict[str, Any]) -> None:
    model = {"provider": "simulated", "error_rate": 0.1, "limits": limits}
    done = api.post("/v1/experiments/plan", content=yaml.safe_dump(spec_with(models__critic=model)).encode())
    assert done.status_code == 200
