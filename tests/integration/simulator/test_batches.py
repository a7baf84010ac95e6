"""The stand-in's files and batches, spoken to by the unmodified `openai` client."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import openai
import pytest

from services.simulator.standin import answers
from shared.world.models import TeacherSettings
from shared.world.names import encode
from shared.world.prompts import make_prompts
from tests.integration.simulator.conftest import Start, running
from tests.provider import Provider
from tests.waiting import wait_until

PROMPTS = [prompt.text for prompt in make_prompts(40, 0)]
TEACHER = encode(TeacherSettings(accuracy=0.5))
ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"


@pytest.fixture(scope="module")
def provider(start: Start) -> Provider:
    return Provider(start("--faults", '{"prices": {"input": 1.0, "output": 2.0}}'))


@pytest.fixture
def client(provider: Provider) -> Iterator[openai.OpenAI]:
    provider.behave()
    provider.forget()
    with openai.OpenAI(base_url=provider.base_url, api_key="key", max_retries=0, timeout=20) as made:
        yield made


def row(number: int, **more: Any) -> dict[str, Any]:
    body = {"model": TEACHER, "messages": [{"role": "user", "content": PROMPTS[number]}]}
    return {"custom_id": f"row-{number}", "method": "POST", "url": ENDPOINT, "body": body, **more}


def submit(client: openai.OpenAI, rows: list[dict[str, Any]]) -> Any:
    data = "".join(json.dumps(one) + "\n" for one in rows).encode()
    source = client.files.create(file=("rows.jsonl", io.BytesIO(data)), purpose="batch")
    return client.batches.create(input_file_id=source.id, endpoint=ENDPOINT, completion_window="24h")


def ended(client: openai.OpenAI, batch: Any) -> Any:
    final = {"completed", "failed", "expired", "cancelled"}
    return wait_until(lambda: (seen := client.batches.retrieve(batch.id)).status in final and seen, 20, "the batch")


def lines(client: openai.OpenAI, name: str | None) -> list[dict[str, Any]]:
    return [json.loads(line) for line in client.files.content(name).text.splitlines()] if name else []


def test_a_batch_answers_its_rows_in_another_order_at_half_the_price(client: openai.OpenAI, provider: Provider) -> None:
    batch = submit(client, [row(number) for number in range(40)])
    assert batch.status in {"validating", "in_progress"}
    batch = ended(client, batch)
    assert (batch.status, batch.request_counts.completed, batch.error_file_id) == ("completed", 40, None)
    results = lines(client, batch.output_file_id)
    names = [line["custom_id"] for line in results]
    assert sorted(names) == sorted(f"row-{number}" for number in range(40))
    assert names != [f"row-{number}" for number in range(40)]
    for line in results[:5]:
        asked = row(int(line["custom_id"].removeprefix("row-")))["body"]
        assert line["response"]["body"]["choices"] == client.chat.completions.create(**asked).to_dict()["choices"]
    uses = [line["response"]["body"]["usage"] for line in results]
    usd = sum(use["prompt_tokens"] * 1.0 + use["completion_tokens"] * 2.0 for use in uses) / 1e6 / 2
    seen = provider.stats()
    assert seen["bill"]["batches"]["usd"] == pytest.approx(usd)
    assert (seen["distinct"], seen["max_repeats"]) == (40, 2)


def test_rows_fail_into_the_error_file(client: openai.OpenAI, provider: Provider) -> None:
    provider.set(batches={"seconds": 0, "rate_failed": 0.3})
    wrong = row(39)
    wrong["body"] = {**wrong["body"], "max_tokens": 0}
    batch = ended(client, submit(client, [*(row(number) for number in range(39)), wrong]))
    failed = {line["custom_id"]: line for line in lines(client, batch.error_file_id)}
    assert 3 <= len(failed) <= 25
    assert len(failed) + len(lines(client, batch.output_file_id)) == 40
    assert (batch.request_counts.failed, batch.request_counts.total) == (len(failed), 40)
    assert failed["row-39"]["response"]["status_code"] in {400, 500}


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        ([], "empty_file"),
        ([row(0), row(0)], "duplicate_custom_id"),
        ([row(0, url="/v1/embeddings")], "mismatched_url"),
        ([row(0), row(1, body={"model": "other"})], "mismatched_model"),
        ([{"hello": 1}], "invalid_json_line"),
        ([row(number) for number in range(11)], "too_many_requests"),
    ],
)
def test_a_file_that_is_no_batch_fails(
    client: openai.OpenAI, provider: Provider, rows: list[dict[str, Any]], code: str
) -> None:
    provider.set(batches={"rows": 10})
    batch = ended(client, submit(client, rows))
    assert (batch.status, batch.errors.data[0].code) == ("failed", code)


def test_a_queue_takes_only_so_many_tokens_at_a_time(client: openai.OpenAI, provider: Provider) -> None:
    one = answers.estimate(row(0)["body"])
    provider.set(batches={"seconds": 0.3, "queue_tokens": one})
    first, second = submit(client, [row(0)]), ended(client, submit(client, [row(0)]))
    assert (second.status, second.errors.data[0].code) == ("failed", "token_limit_exceeded")
    assert ended(client, first).status == "completed"
    assert ended(client, submit(client, [row(0)])).status == "completed"


def test_files_have_a_size_limit_and_can_be_listed_and_deleted(client: openai.OpenAI, provider: Provider) -> None:
    provider.set(batches={"file_bytes": 1000})
    with pytest.raises(openai.APIStatusError) as raised:
        client.files.create(file=("big.jsonl", io.BytesIO(b"x" * 1001)), purpose="batch")
    assert raised.value.status_code == 413
    content = b"\r\n--a\x00\xffb--\r\n"
    made = client.files.create(file=("odd", io.BytesIO(content)), purpose="batch")
    assert client.files.retrieve(made.id).bytes == len(content)
    assert client.files.content(made.id).content == content
    assert made.id in {file.id for file in client.files.list()}
    assert client.files.delete(made.id).deleted
    with pytest.raises(openai.NotFoundError):
        client.files.retrieve(made.id)


def test_a_cancelled_or_expired_batch_keeps_what_it_has(client: openai.OpenAI, provider: Provider) -> None:
    provider.set(batches={"seconds": 3600})
    batch = submit(client, [row(number) for number in range(5)])
    assert client.batches.cancel(batch.id).status == "cancelling"
    batch = ended(client, batch)
    assert (batch.status, batch.request_counts.completed) == ("cancelled", 0)
    assert {line["error"]["code"] for line in lines(client, batch.error_file_id)} == {"batch_cancelled"}
    with pytest.raises(openai.ConflictError):
        client.batches.cancel(batch.id)
    provider.set(batches={"seconds": 0.8, "window_s": 0.4})
    batch = ended(client, submit(client, [row(number) for number in range(20)]))
    assert (batch.status, batch.request_counts.completed) == ("expired", 10)
    assert {line["error"]["code"] for line in lines(client, batch.error_file_id)} == {"batch_expired"}


def test_batches_are_listed_newest_first_page_by_page(client: openai.OpenAI) -> None:
    made = [submit(client, [row(0)]).id for _ in range(3)]
    assert [batch.id for batch in client.batches.list(limit=2)][:3] == made[::-1]


def test_an_answer_may_be_lost_after_the_batch_was_made(client: openai.OpenAI, provider: Provider) -> None:
    before = provider.stats()["batches"]["batches"]
    made = client.files.create(file=("rows.jsonl", io.BytesIO(json.dumps(row(0)).encode())), purpose="batch")
    provider.set(rate_drop_before=1.0)
    with pytest.raises(openai.APIConnectionError):
        client.batches.create(input_file_id=made.id, endpoint=ENDPOINT, completion_window="24h")
    assert provider.stats()["batches"]["batches"] == before + 1


def test_files_and_batches_survive_a_restart(tmp_path: Path) -> None:
    options = ("--faults", '{"batches": {"seconds": 1}}', "--state", str(tmp_path))
    with running(*options) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="key") as client:
        first = ended(client, submit(client, [row(0), row(1)]))
        second = submit(client, [row(1), row(2)])
    with running(*options) as url, openai.OpenAI(base_url=f"{url}/v1", api_key="key") as client:
        assert ended(client, first) == first
        assert len(lines(client, first.output_file_id)) == 2
        assert len(lines(client, ended(client, second).output_file_id)) == 2
        seen = Provider(url).stats()
        assert (seen["distinct"], seen["max_repeats"], seen["bill"]["batches"]["answers"]) == (3, 2, 4)
