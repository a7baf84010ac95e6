"""The API over a store in memory, as far as it goes without Redis: problems, tokens, uploads, the description."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from infra.local.ports import free_port
from services.api.app import create_app
from services.api.guard import is_loopback, refuse_open_address
from shared.errors import BadInput
from shared.settings import Settings
from shared.store import MemoryStore
from tests.unit.specs import spec_with

TOKENS = [SecretStr("first-secret"), SecretStr("second-secret")]


def client(tmp_path: Path, **changes: Any) -> TestClient:
    """The API with a store in memory and a Redis that is away."""
    settings = Settings(
        redis_url=SecretStr(f"redis://127.0.0.1:{free_port()}/0"), data_dir=tmp_path, max_spec_bytes=2000, **changes
    )
    app = create_app(settings, MemoryStore())
    return TestClient(app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False)


@pytest.fixture
def api(tmp_path: Path) -> Iterator[TestClient]:
    with client(tmp_path) as made:
        yield made


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[TestClient]:
    with client(tmp_path, api_tokens=TOKENS, max_dataset_bytes=3000) as made:
        yield made


def problem(response: Any, status: int) -> dict[str, Any]:
    """The problem in a response, checked to be one."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["status"] == status
    assert body["type"].startswith("urn:touchstone:problem:")
    assert body["title"] and body["detail"]
    assert all(set(error) == {"field", "problem", "fix"} for error in body["errors"])
    return body


def fields(response: Any, status: int = 422) -> list[str]:
    return [error["field"] for error in problem(response, status)["errors"]]


def test_every_kind_of_error_is_a_problem(api: TestClient) -> None:
    problem(api.get("/nowhere"), 404)
    assert "PUT is not allowed" in problem(api.put("/v1/experiments"), 405)["detail"]
    problem(api.get("/v1/stages/short/log"), 404)
    problem(api.get(f"/v1/stages/{'0' * 64}/log"), 404)
    assert fields(api.get("/v1/datasets?limit=0")) == ["limit"]
    assert fields(api.get("/v1/datasets?limit=many")) == ["limit"]
    problem(api.post("/v1/datasets", content=b"x"), 415)


def test_redis_away_is_a_503_and_nothing_is_written(api: TestClient) -> None:
    small = api.post("/v1/experiments", content=b"name: x")
    assert problem(small, 503)["detail"].startswith("Redis cannot be reached")
    assert small.headers["retry-after"]
    assert fields(api.get("/readyz"), 503) == ["redis"]
    assert list(api.app.state.touchstone.store.list("")) == []  # type: ignore[attr-defined]


def test_specs_that_are_wrong_name_their_fields(api: TestClient) -> None:
    assert fields(api.post("/v1/experiments/plan", content=b"seed: 1")) != []
    assert fields(api.post("/v1/experiments/plan", content=b"a: 1\na: 2")) == ["spec.a"]
    assert fields(api.post("/v1/experiments/plan", content=b"")) == ["spec"]
    assert fields(api.post("/v1/experiments/plan", json=[1])) == ["spec"]


def test_a_spec_over_the_limit(api: TestClient) -> None:
    body = problem(api.post("/v1/experiments/plan", content=b"#" * 2001), 413)
    assert "TOUCHSTONE_MAX_SPEC_BYTES" in body["errors"][0]["fix"]
    chunks = (b"#" * 500 for _ in range(1000))
    problem(api.post("/v1/experiments/plan", content=chunks), 413)


def test_a_plan_needs_no_redis(tmp_path: Path) -> None:
    with client(tmp_path) as api:
        answer = api.post("/v1/experiments/plan", json=spec_with(seeds=[0, 1]))
    assert answer.status_code == 200
    body = answer.json()
    assert body["counts"] == {"stages": len(body["stages"]), "reused": 0}
    assert body["requests"] == sum(stage["requests"] for stage in body["stages"]) > 0


@pytest.mark.parametrize("path", ["/v1/datasets", "/v1/models", "/v1/experiments", "/v1/experiments/x", "/metrics"])
def test_a_token_is_asked_for(guarded: TestClient, path: str) -> None:
    assert problem(guarded.get(path), 401)
    assert guarded.get(path).headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer first", "Bearer ", "Basic first-secret", "first-secret", "Bearer first-secret2"):
        problem(guarded.get(path, headers={"Authorization": wrong}), 401)
    for right in ("Bearer first-secret", "bearer second-secret"):
        assert guarded.get(path, headers={"Authorization": right}).status_code != 401


def test_no_body_is_read_before_the_token(guarded: TestClient) -> None:
    problem(guarded.post("/v1/experiments/plan", content=b"#" * 5000), 401)
    problem(guarded.post("/v1/datasets", files={"file": ("a.jsonl", b"x" * 5000)}), 401)


def test_health_needs_no_token(guarded: TestClient) -> None:
    assert guarded.get("/healthz").json()["status"] == "ok"


def test_the_cookie_reads_and_never_writes(guarded: TestClient) -> None:
    assert guarded.get("/").status_code == 401
    wrong = guarded.post("/login", data={"token": "guess"})
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    right = guarded.post("/login", data={"token": "second-secret"}, follow_redirects=False)
    assert right.status_code == 303
    cookie = right.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie and "second-secret" not in cookie
    assert guarded.get("/v1/datasets").status_code == 200
    problem(guarded.post("/v1/datasets", files={"file": ("a.jsonl", b"")}), 401)
    guarded.post("/logout")
    problem(guarded.get("/v1/datasets"), 401)


def test_foreign_pages_are_refused(api: TestClient, guarded: TestClient) -> None:
    problem(api.post("/v1/experiments/plan", content=b"x", headers={"Origin": "https://evil.example"}), 403)
    problem(api.get("/v1/datasets", headers={"Host": "evil.example:8000"}), 403)
    problem(api.get("/v1/datasets", headers={"Host": "[::1"}), 403)
    problem(api.post("/v1/experiments/plan", content=b"x", headers={"Origin": "http://["}), 403)
    assert api.get("/v1/datasets", headers={"Host": "localhost:8000"}).status_code == 200
    assert api.get("/v1/datasets", headers={"Host": "[::1]:8000"}).status_code == 200
    # A page of the API's own, and with tokens any name that leads here.
    assert api.post("/v1/experiments/plan", content=b"", headers={"Origin": "http://127.0.0.1:8000"}).status_code == 422
    assert guarded.get("/healthz", headers={"Host": "touchstone.example"}).status_code == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "touchstone.example"])
def test_an_open_address_without_a_token_is_refused(host: str) -> None:
    with pytest.raises(BadInput) as caught:
        refuse_open_address(Settings(api_host=host))
    assert caught.value.field == "TOUCHSTONE_API_TOKENS" and host in caught.value.problem
    refuse_open_address(Settings(api_host=host, api_tokens=TOKENS))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "[::1]", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    assert is_loopback(host)
    refuse_open_address(Settings(api_host=host))


def upload(api: TestClient, content: bytes, filename: str = "a.jsonl", **form: Any) -> Any:
    auth = {"Authorization": "Bearer first-secret"}
    return api.post("/v1/datasets", data={"name": "d", **form}, files={"file": (filename, content)}, headers=auth)


GOOD = b'{"id": 1, "instruction": "Why?"}\n'


def test_a_dataset_is_added_and_listed(guarded: TestClient, tmp_path: Path) -> None:
    answer = upload(guarded, GOOD, map=["prompt_id=id", "prompt=instruction"])
    assert answer.status_code == 201
    assert answer.json() | {"sha256": "", "created": ""} == {
        "name": "d",
        "sha256": "",
        "kind": "prompts",
        "rows": 1,
        "columns": ["prompt_id", "prompt"],
        "dropped": {},
        "created": "",
        "origin": {},
    }
    listed = guarded.get("/v1/datasets", headers={"Authorization": "Bearer first-secret"}).json()
    assert listed == {"items": [answer.json()], "next_cursor": None}
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    ("content", "filename", "form", "field"),
    [
        (GOOD, "a.jsonl", {}, "map"),
        (GOOD, "a.jsonl", {"map": "prompt_id=nope"}, "map.prompt_id"),
        (GOOD, "a.jsonl", {"map": "nope=id"}, "map"),
        (GOOD, "a.docx", {}, "file"),
        (b"{", "a.jsonl", {}, "file"),
        (GOOD, "a.jsonl", {"name": "../../etc/passwd"}, "name"),
        (GOOD, "a.jsonl", {"kind": "answers", "map": "prompt_id=id,prompt=instruction"}, "kind"),
        (GOOD, "a.jsonl", {"preference": "stars"}, "preference"),
        (b"no parquet", "a.parquet", {}, "file"),
    ],
)
def test_wrong_datasets(guarded: TestClient, content: bytes, filename: str, form: dict[str, Any], field: str) -> None:
    assert fields(upload(guarded, content, filename, **form)) == [field]


def test_a_dataset_over_the_limit(guarded: TestClient, tmp_path: Path) -> None:
    assert "TOUCHSTONE_MAX_DATASET_BYTES" in problem(upload(guarded, GOOD * 100), 413)["detail"]
    auth = {"Authorization": "Bearer first-secret", "Content-Type": "multipart/form-data; boundary=b"}
    chunks = (b"x" * 1000 for _ in range(1000))
    problem(guarded.post("/v1/datasets", content=chunks, headers=auth), 413)
    assert list((tmp_path / "uploads").iterdir()) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--b\r\n",
        b"garbage",
        b'--b\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--b--\r\n',
    ],
)
def test_broken_forms(guarded: TestClient, body: bytes) -> None:
    auth = {"Authorization": "Bearer first-secret", "Content-Type": "multipart/form-data; boundary=b"}
    problem(guarded.post("/v1/datasets", content=body, headers=auth), 422)
    problem(guarded.post("/v1/models", content=body, headers=auth), 422)


def test_half_a_form_stores_nothing(api: TestClient) -> None:
    name = b'--b\r\nContent-Disposition: form-data; name="name"\r\n\r\nd\r\n'
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jsonl"\r\n\r\n'
    rows = b'{"prompt_id": "1", "prompt": "x"}\n'
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    body = problem(api.post("/v1/datasets", content=name + file + rows, headers=kind), 422)
    assert "ends in the middle" in body["detail"]
    assert list(api.app.state.touchstone.store.list("")) == []  # type: ignore[attr-defined]
    whole = api.post("/v1/datasets", content=name + file + rows + b"\r\n--b--\r\n", headers=kind)
    assert whole.status_code == 201


def test_a_misspelt_form_field_and_a_boundary_without_end(api: TestClient) -> None:
    files = {"file": ("a.jsonl", b'{"prompt_id": "1", "prompt": "x"}\n')}
    assert fields(api.post("/v1/datasets", data={"name": "d", "knd": "prompts"}, files=files)) == ["knd"]
    assert fields(api.post("/v1/datasets", data={"name": "d"}, files={**files, "fil": ("b", b"")})) == ["fil"]
    assert fields(api.post("/v1/models", data={"name": "m", "x": "y"}, files=files)) == ["x"]
    kind = {"Content-Type": f"multipart/form-data; boundary={'b' * 500}"}
    assert fields(api.post("/v1/datasets", content=b"x", headers=kind)) == ["body"]


def test_a_cursor_that_no_page_had(api: TestClient) -> None:
    for path in ("/v1/datasets", "/v1/models"):
        for cursor in ("../../x", "a b", "%00", "x" * 400):
            assert fields(api.get(f"{path}?cursor={cursor}")) == ["cursor"]


def test_a_model_is_added_and_pickles_are_refused(api: TestClient) -> None:
    files = [("files", ("config.json", b"{}")), ("files", ("model.safetensors", b"weights"))]
    answer = api.post("/v1/models", data={"name": "tiny"}, files=files)
    assert answer.status_code == 201
    assert answer.json()["files"] == {"config.json": 2, "model.safetensors": 7}
    assert api.get("/v1/models").json()["items"] == [answer.json()]
    pickle = [*files, ("files", ("pytorch_model.bin", b"x"))]
    body = problem(api.post("/v1/models", data={"name": "tiny"}, files=pickle), 422)
    assert body["errors"][0]["field"] == "files.pytorch_model.bin" and "safetensors" in body["errors"][0]["fix"]
    assert fields(api.post("/v1/models", data={"name": "tiny"}, files=[files[0], files[0]])) == ["files.config.json"]
    assert fields(api.post("/v1/models", data={"name": "tiny"}, files=files[:1])) == ["files"]


def test_a_template_is_added_listed_and_checked(api: TestClient) -> None:
    text = b"{prompt} {answer_a} {answer_b}"
    answer = api.post("/v1/templates", data={"name": "mine"}, files=[("file", ("critic.txt", text))])
    assert answer.status_code == 201 and answer.json()["sorts"] == {"": "pairwise"}
    assert api.get("/v1/templates").json()["items"] == [answer.json()]
    wrong = [("file", ("critic.txt", b"Which is better?"))]
    assert fields(api.post("/v1/templates", data={"name": "mine"}, files=wrong)) == ["file"]
    assert fields(api.post("/v1/templates", data={"name": "../x"}, files=wrong)) == ["name"]
    assert fields(api.post("/v1/templates", data={"name": "mine"}, files=wrong * 2)) == ["file"]


def test_the_description_is_complete(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    paths = document["paths"]
    assert set(paths) == {
        "/v1/experiments",
        "/v1/experiments/plan",
        "/v1/experiments/{id}",
        "/v1/experiments/{id}/cancel",
        "/v1/experiments/{id}/critics",
        "/v1/experiments/{id}/curves",
        "/v1/experiments/{id}/events",
        "/v1/experiments/{id}/figures",
        "/v1/experiments/{id}/figures/{name}.png",
        "/v1/experiments/{id}/figures/{name}.svg",
        "/v1/experiments/{id}/human",
        "/v1/experiments/{id}/human/sheet",
        "/v1/experiments/{id}/human/votes",
        "/v1/experiments/{id}/arms/{arm}/export",
        "/v1/experiments/{id}/exports/{export}/files/{path}",
        "/v1/experiments/{id}/report",
        "/v1/experiments/{id}/resume",
        "/v1/experiments/{id}/samples",
        "/v1/experiments/{id}/samples.parquet",
        "/v1/experiments/{id}/stages/{key}",
        "/v1/stages/{key}/log",
        "/v1/stages/{key}/rows",
        "/v1/activity",
        "/v1/datasets",
        "/v1/models",
        "/v1/templates",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    for path, operations in paths.items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            assert operation["description"], where
            for status, answer in operation["responses"].items():
                assert answer["content"], f"{where} {status}"
                if int(status) >= 400:
                    assert list(answer["content"]) == ["application/problem+json"], f"{where} {status}"
    for path in ("/v1/experiments", "/v1/experiments/plan"):
        assert "application/yaml" in paths[path]["post"]["requestBody"]["content"]


def test_every_reference_in_the_description_leads_somewhere(api: TestClient) -> None:
    document = api.get("/openapi.json").json()
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}
    assert used <= set(document["components"]["schemas"])
    assert "Spec" in used and "ProblemDetails" in used


def test_metrics_count_routes_and_never_paths(api: TestClient) -> None:
    api.get("/v1/stages/one/log")
    api.get("/v1/stages/two/log")
    text = api.get("/metrics").text
    assert 'touchstone_http_requests_total{method="GET",route="/v1/stages/{key}/log",status="404"} 2.0' in text
    assert "stages/one" not in text
