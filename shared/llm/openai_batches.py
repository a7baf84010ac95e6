"""OpenAI's Files and Batches endpoints behind the batch seam."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import httpx2
import openai
from openai.types import Batch

from shared.llm.batches import BatchState, Failure
from shared.llm.chat import Answer, ChatRequest, Refused, Unanswered, chat_error
from shared.llm.openai_chat import (
    CONNECT_TIMEOUT,
    LOOPBACK,
    NO_KEY,
    chat_body,
    error_words,
    forget_environment,
    max_tokens_name,
    read_answer,
)
from shared.llm.rates import retry_after

URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"
TAG = "touchstone"
SLACK = 3600
"""Seconds by which the provider's clock may differ from ours."""
FULL = "token_limit_exceeded"
NO_SUCH_METHOD = (405, 501)
"""What servers answer beside 404 where they have no such endpoint."""


class OpenAIBatches:
    """One model's Batch API, for any thread. Retries are the caller's affair, so the client's are off."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float) -> None:
        self._model = model
        self._url = base_url
        self._max_tokens = max_tokens_name(base_url)
        self._client = openai.OpenAI(
            api_key=api_key or NO_KEY,
            base_url=base_url,
            max_retries=0,
            http_client=openai.DefaultHttpxClient(
                timeout=httpx2.Timeout(timeout, connect=CONNECT_TIMEOUT),
                trust_env=httpx2.URL(base_url).host not in LOOPBACK,
            ),
        )
        forget_environment(self._client)

    def line(self, key: str, request: ChatRequest) -> bytes:
        body = chat_body(self._model, self._max_tokens, request)
        values = {"custom_id": key, "method": "POST", "url": URL, "body": body}
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"

    def upload(self, lines: bytes, tag: str) -> str:
        with self._translated():
            return self._client.files.create(file=(_file_name(tag), lines), purpose="batch").id

    def create(self, file: str, tag: str) -> BatchState:
        with self._translated():
            return _state(
                self._client.batches.create(
                    input_file_id=file, endpoint=URL, completion_window="24h", metadata={TAG: tag}
                )
            )

    def find(self, tag: str, since: float) -> BatchState | None:
        with self._translated():
            # The newest come first.
            for batch in self._client.batches.list(limit=100):
                if (batch.metadata or {}).get(TAG) == tag:
                    return _state(batch)
                if batch.created_at < since - SLACK:
                    return None
        return None

    def retrieve(self, id: str) -> BatchState:
        with self._translated():
            return _state(self._client.batches.retrieve(id))

    def results(self, state: BatchState) -> Iterator[tuple[str, Answer | Failure] | None]:
        for file in state.files:
            with self._translated(), self._client.files.with_streaming_response.content(file) as response:
                for line in response.iter_lines():
                    if line.strip():
                        yield _row(line)

    def cancel(self, id: str) -> None:
        with self._translated():
            self._client.batches.cancel(id)

    def forget(self, state: BatchState) -> None:
        self._delete(filter(None, (state.input, *state.files)))

    def forget_upload(self, tag: str) -> None:
        with self._translated():
            found = [file.id for file in self._client.files.list(purpose="batch") if file.filename == _file_name(tag)]
        self._delete(found)

    def _delete(self, files: Iterable[str]) -> None:
        for file in files:
            try:
                with self._translated():
                    self._client.files.delete(file)
            except Refused as refused:
                if refused.field != "model":  # 404: it is gone
                    raise

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except openai.APIStatusError as error:
            words = error_words(error)
            if error.status_code in NO_SUCH_METHOD:
                raise Refused("model", words) from error
            raise chat_error(error.status_code, words, retry_after(error.response.headers)) from error
        except (openai.APIConnectionError, httpx2.TransportError) as error:
            raise Unanswered("base_url", f"{self._url} cannot be reached: {error.__cause__ or error}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unanswered("base_url", f"{self._url} sent no batch: {error}") from error


def _state(batch: Batch) -> BatchState:
    counts = batch.request_counts
    errors = (batch.errors.data if batch.errors else None) or []
    return BatchState(
        id=batch.id,
        status=batch.status,
        # A file that did not pass its check was asked nothing of.
        done=counts.completed if counts else 0 if batch.status == "failed" else None,
        input=batch.input_file_id,
        files=tuple(file for file in (batch.output_file_id, batch.error_file_id) if file),
        words="; ".join(error.message or error.code or "" for error in errors[:3]),
        full=any(error.code == FULL for error in errors),
    )


def _file_name(tag: str) -> str:
    return f"{tag}.jsonl"


def _row(line: str) -> tuple[str, Answer | Failure] | None:
    """One line of an output or error file; None where it is none."""
    try:
        return _outcome(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _outcome(row: dict[str, Any]) -> tuple[str, Answer | Failure]:
    key, response = str(row["custom_id"]), row.get("response") or {}
    if row.get("error"):
        return key, Failure(str(row["error"].get("message") or row["error"].get("code")))
    status, body = int(response["status_code"]), response["body"]
    try:
        if status < 400:
            return key, read_answer(body)
        said = body.get("error") if isinstance(body, dict) else None
        raise chat_error(status, f"{status}: {said.get('message') if isinstance(said, dict) else body}"[:1000])
    except Refused as refused:
        return key, Failure(str(refused), permanent=True)
    except Unanswered as unanswered:
        return key, Failure(str(unanswered), billed=not unanswered.unbilled)
    except ValueError as error:
        return key, Failure(str(error), billed=True)
