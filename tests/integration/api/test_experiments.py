"""/v1/experiments over real HTTP: created once, listed, found, cancelled, resumed, reported."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from touchstone_client import Client, Conflict, NotFound

from shared.experiments import PREFIX, partial_report_name, read_summary, write_summary
from tests.stack import Stack
from tests.unit.bad_specs import BAD, UPLOADED
from tests.unit.specs import spec_with
from tests.waiting import wait_until


def body(**changes: Any) -> bytes:
    return yaml.safe_dump(spec_with(**changes)).encode()


def count(stack: Stack) -> int:
    return sum(info.name.endswith("/experiment.json") for info in stack.store.list(PREFIX))


def planned(client: Client, id: str) -> dict[str, Any]:
    """The experiment once the conductor has seen it."""
    return wait_until(lambda: (found := client.get(id))["stages"] and found, 20, "the conductor to plan it")


def test_a_spec_becomes_an_experiment(http: httpx.Client, place: Stack) -> None:
    answer = http.post("/v1/experiments", content=body(name="made"))
    assert answer.status_code == 201
    made = answer.json()
    assert set(made) == {"id", "name", "state", "warnings"} and (made["name"], made["state"]) == ("made", "running")
    assert "one family of judges" in made["warnings"][0]
    assert answer.headers["location"] == f"/v1/experiments/{made['id']}"
    assert place.store.get(f"{PREFIX}{made['id']}/spec.txt") == body(name="made")
    found = http.get(answer.headers["location"]).json()
    assert {"id", "name", "state", "stages", "counts", "cost_usd", "created", "finished"} <= set(found)


def test_no_mistake_becomes_an_experiment_or_a_crash(
    http: httpx.Client, client: Client, place: Stack, tmp_path: Path
) -> None:
    for name, text in UPLOADED.items():
        (tmp_path / f"{name}.txt").write_text(text)
        client.add_template(name, tmp_path / f"{name}.txt")
    before = count(place)
    for change, field, says in BAD:
        answer = http.post("/v1/experiments", content=body(**change))
        assert answer.status_code == 422, f"{change}: {answer.text}"
        found = {error["field"]: f"{error['problem']}. {error['fix']}".lower() for error in answer.json()["errors"]}
        assert says.lower() in found.get(field, ""), f"{change}: {found}"
    assert count(place) == before


def test_stages_have_the_fields_of_the_contract(client: Client) -> None:
    found = planned(client, client.submit(spec_with(name="contract"))["id"])
    for stage in found["stages"]:
        assert {"key", "kind", "arms", "state", "reason", "progress", "error", "reused"} <= set(stage)
        assert set(stage["progress"]) == {"done", "total"}
    assert sum(found["counts"][state] for state in found["counts"] if state != "reused") == len(found["stages"])


def test_a_wrong_spec_starts_nothing(http: httpx.Client, place: Stack) -> None:
    before = count(place)
    answer = http.post("/v1/experiments", content=body(**{"arms__sft-weak__sft__teacher": "stronk"}))
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"] == [
        {
            "field": "arms.sft-weak.sft.teacher",
            "problem": "'stronk' is not under models",
            "fix": "Did you mean strong?",
        }
    ]
    missing = http.post("/v1/experiments", content=body(prompts__source="dataset:nowhere"))
    assert missing.status_code == 422 and missing.json()["errors"][0]["field"] == "prompts.source"
    assert count(place) == before


def test_the_same_key_and_body_is_the_same_experiment(client: Client, place: Stack) -> None:
    key, before = uuid.uuid4().hex, count(place)
    first = client.submit(spec_with(name="once"), key)
    assert client.submit(spec_with(name="once"), key) == first
    place.redis.delete(f"experiment:{first['id']}")
    assert client.submit(spec_with(name="once"), key)["id"] == first["id"]
    assert count(place) == before + 1
    with pytest.raises(Conflict, match="another body"):
        client.submit(spec_with(name="twice"), key)
    assert client.submit(spec_with(name="once"), uuid.uuid4().hex)["id"] != first["id"]


def test_many_at_once_with_one_key_make_one_experiment(client: Client, place: Stack) -> None:
    key, before, answers = uuid.uuid4().hex, count(place), []
    specs = [spec_with(name="racer-a"), spec_with(name="racer-b")]

    def submit(number: int) -> None:
        try:
            answers.append(client.submit(specs[number % 2], key)["name"])
        except Conflict:
            answers.append(None)

    threads = [threading.Thread(target=submit, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(place) == before + 1
    assert len(answers) == 12 and answers.count(None) == 6 and len(set(answers)) == 2


def test_lists_go_page_by_page_newest_first(client: Client, http: httpx.Client) -> None:
    made = [client.submit(spec_with(name=f"listed-{number}"))["id"] for number in range(5)]
    everything = [item["id"] for item in client.list()]
    assert everything[:5] == made[::-1]
    seen, cursor = [], ""
    while True:
        page = http.get("/v1/experiments", params={"limit": 2, "cursor": cursor}).json()
        assert len(page["items"]) <= 2 and all("stages" not in item for item in page["items"])
        seen += [item["id"] for item in page["items"]]
        if not (cursor := page["next_cursor"]):
            break
    assert seen == everything
    assert http.get("/v1/experiments", params={"cursor": "nonsense"}).json()["errors"][0]["field"] == "cursor"


@pytest.mark.parametrize("id", ["nope", "../x", "01m850x8g8jht6c6q8jc05tkb4", "x" * 200, "experiment.json"])
def test_what_is_not_there_is_a_404(client: Client, id: str) -> None:
    for ask in (
        client.get,
        client.report,
        client.critics,
        client.cancel,
        client.resume,
        lambda id: list(client.events(id)),
    ):
        with pytest.raises(NotFound):
            ask(id)


def test_redis_may_be_wiped(client: Client, place: Stack) -> None:
    id = client.submit(spec_with(name="wiped"))["id"]
    place.redis.flushall()
    assert client.get(id)["name"] == "wiped"
    assert id in [item["id"] for item in client.list()]


def test_cancel_and_resume(client: Client) -> None:
    id = client.submit(spec_with(name="stopped"))["id"]
    planned(client, id)
    assert client.cancel(id)["state"] == "cancelled"
    wait_until(lambda: client.get(id)["state"] == "cancelled", 20, "the conductor to cancel it")
    assert client.cancel(id)["state"] == "cancelled"
    assert client.resume(id)["state"] == "running"
    # Whoever asks at once is not told that it has ended.
    assert client.get(id)["state"] == "running"
    wait_until(lambda: client.get(id)["counts"].get("cancelled", 0) == 0, 20, "the conductor to resume it")
    assert client.resume(id)["state"] == "running"


def finish(place: Stack, id: str, report: dict[str, str] | None) -> None:
    """Let an experiment have ended, as the conductor writes it."""
    # Not before it has published its own first summary, which would come on top.
    wait_until(lambda: (read_summary(place.redis, place.store, id) or {}).get("stages"), 30, "the conductor's summary")
    summary = read_summary(place.redis, place.store, id)
    assert summary is not None
    final = {**summary, "state": "succeeded", "report": report}
    place.store.put(f"{PREFIX}{id}/final.json", json.dumps(final).encode())
    write_summary(place.redis, final)


def test_reports_json_html_partial_and_none(http: httpx.Client, place: Stack) -> None:
    id = http.post("/v1/experiments", content=body(name="reported")).json()["id"]
    none = http.get(f"/v1/experiments/{id}/report")
    assert http.get(f"/v1/experiments/{id}/critics").status_code == 202
    assert none.status_code == 202 and none.json()["state"] == "running" and none.headers["retry-after"]
    for file, data in (("report.json", b'{"partial": true}'), ("report.html", b"<p>partial</p>")):
        place.store.put(partial_report_name(id, file), data)
    assert http.get(f"/v1/experiments/{id}/report").json() == {"partial": True}
    assert http.get(f"/v1/experiments/{id}/critics").json() == {"id": id, "partial": True, "critics": {}}
    place.store.put("stages/report/x/a.json", b'{"partial": false}')
    place.store.put("stages/report/x/a.html", b"<p>whole</p>")
    finish(place, id, {"report.json": "stages/report/x/a.json", "report.html": "stages/report/x/a.html"})
    whole = http.get(f"/v1/experiments/{id}/report", headers={"Accept": "application/json"})
    assert whole.json() == {"partial": False} and whole.headers["content-type"] == "application/json"
    html = http.get(f"/v1/experiments/{id}/report", headers={"Accept": "text/html,*/*;q=0.8"})
    assert html.text == "<p>whole</p>" and html.headers["content-type"].startswith("text/html")
    assert html.headers["content-security-policy"].startswith("sandbox")
    assert http.get(f"/v1/experiments/{id}/report", headers={"Accept": "image/png"}).status_code == 406


def test_what_has_succeeded_is_neither_cancelled_nor_resumed(client: Client, place: Stack) -> None:
    id = client.submit(spec_with(name="done"))["id"]
    finish(place, id, None)
    for ask in (client.cancel, client.resume):
        with pytest.raises(Conflict, match="succeeded"):
            ask(id)
    assert [event.name for event in client.events(id)] == ["snapshot", "end"]


def test_logs(http: httpx.Client, place: Stack) -> None:
    key = "ab" * 32
    place.store.put(f"scratch/{key}/logs/{key[:12]}.attempt1.log", b"first\n")
    place.store.put(f"scratch/{key}/logs/{key[:12]}.attempt2.log", b"second \xff\n")
    answer = http.get(f"/v1/stages/{key}/log")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.index("attempt1\nfirst") < answer.text.index("attempt2\nsecond")


def test_a_plan_says_what_is_reused(client: Client, place: Stack) -> None:
    spec = spec_with(name="planned")
    plan = client.plan(spec)
    assert plan["counts"]["reused"] == 0
    keys = [stage["key"] for stage in plan["stages"]]
    for key in keys[:3]:
        place.store.put(f"commits/{key[:2]}/{key}.test.json", b"{}")
    again = client.plan(spec)
    assert {stage["key"] for stage in again["stages"] if stage["reused"]} == set(keys[:3])
    place.store.delete([f"commits/{key[:2]}/{key}.test.json" for key in keys[:3]])
