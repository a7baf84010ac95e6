"""Batches as OpenAI has them, as a function of time: what a record says at a moment, and what its rows become. Pure."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from services.simulator.completions import Refusal
from services.simulator.standin.bill import Tokens
from services.simulator.standin.faults import Batches
from services.simulator.traffic import content_hash
from shared.world.draws import generator, uniform

Final = Literal["failed", "completed", "expired", "cancelled"]
ENDPOINT = "/v1/chat/completions"
Ask = Callable[[dict[str, Any], int], dict[str, Any]]
"""The answer to a request that came so often before; raises `Refusal`."""


@dataclass
class Record:
    """A batch as it is stored."""

    id: str
    input_file_id: str
    endpoint: str
    completion_window: str
    created: float
    """Seconds since the epoch."""
    settings: dict[str, Any]
    """`Batches` at its creation."""
    rows: int = 0
    tokens: int = 0
    """What its rows may use, as a provider estimates."""
    metadata: dict[str, str] | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    cancelled: float | None = None
    """When its cancelling was asked for."""
    outcome: Outcome | None = None


@dataclass
class Outcome:
    """How a batch ended: its files, what it cost and what it asked."""

    status: Final
    at: float
    output_file_id: str | None = None
    error_file_id: str | None = None
    completed: int = 0
    failed: int = 0
    tokens: Tokens = field(default_factory=Tokens)
    asked: list[str] = field(default_factory=list)
    """The hashes of the requests that were answered."""


def to_record(data: dict[str, Any]) -> Record:
    """What `asdict` made of a record."""
    outcome = data["outcome"]
    if outcome is not None:
        outcome = Outcome(**{**outcome, "tokens": Tokens(**outcome["tokens"])})
    return Record(**{**data, "outcome": outcome})


def read_rows(data: bytes, endpoint: str, settings: Batches) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows of an input file, and what is wrong with it."""
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()
    lines = data.decode(errors="replace").split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        problem = None
        try:
            row = json.loads(line)
            name = row["custom_id"]
            if name in seen:
                problem = ("duplicate_custom_id", f"The custom_id {name!r} is a duplicate.")
            elif row["url"] != endpoint or row["method"] != "POST":
                problem = ("mismatched_url", f"The URL of the row is not that of the batch, {endpoint!r}.")
            elif rows and row["body"].get("model") != rows[0]["body"].get("model"):
                problem = ("mismatched_model", "All rows of a batch must ask one model.")
            else:
                seen.add(name)
                rows.append(row)
        except (ValueError, KeyError, TypeError, AttributeError):
            problem = ("invalid_json_line", "This line is not parseable as a valid request.")
        if problem is not None:
            errors.append({"code": problem[0], "message": problem[1], "param": None, "line": number})
    if not rows and not errors:
        errors.append({"code": "empty_file", "message": "The input file is empty.", "param": None, "line": None})
    if len(rows) > settings.rows:
        words = f"The batch has {len(rows)} requests; at most {settings.rows} are allowed."
        errors.append({"code": "too_many_requests", "message": words, "param": None, "line": None})
    return rows, errors


def ends(record: Record) -> tuple[Final, float, float]:
    """How, when, and with which share of its rows a batch ends."""
    settings = Batches.model_validate(record.settings)
    if record.errors:
        return "failed", record.created, 0.0
    if record.cancelled is not None:
        return "cancelled", record.cancelled + settings.cancel_s, progress(record, record.cancelled)
    if settings.seconds > settings.window_s:
        return "expired", record.created + settings.window_s, settings.window_s / settings.seconds
    return "completed", record.created + settings.seconds, 1.0


def progress(record: Record, now: float) -> float:
    """The share of its rows that is done."""
    seconds = Batches.model_validate(record.settings).seconds
    return min(1.0, max(0.0, (now - record.created) / seconds)) if seconds else 1.0


def view(record: Record, now: float) -> dict[str, Any]:
    """The batch object of the API. A record without an outcome is not yet due."""
    outcome = record.outcome
    settings = Batches.model_validate(record.settings)
    if outcome is not None:
        status: str = outcome.status
        counts = {"completed": outcome.completed, "failed": outcome.failed}
    else:
        done = int(progress(record, record.cancelled or now) * record.rows)
        status = "validating" if not done else "in_progress"
        status = "cancelling" if record.cancelled is not None else status
        counts = {"completed": done, "failed": 0}
    times = {f"{name}_at": None for name in ("completed", "failed", "expired", "cancelled")}
    if outcome is not None:
        times[f"{outcome.status}_at"] = int(outcome.at)  # type: ignore[assignment]
    return times | {
        "id": record.id,
        "object": "batch",
        "endpoint": record.endpoint,
        "errors": {"object": "list", "data": record.errors} if record.errors else None,
        "input_file_id": record.input_file_id,
        "completion_window": record.completion_window,
        "status": status,
        "output_file_id": outcome and outcome.output_file_id,
        "error_file_id": outcome and outcome.error_file_id,
        "created_at": int(record.created),
        "in_progress_at": int(record.created),
        "expires_at": int(record.created + settings.window_s),
        "finalizing_at": outcome and int(outcome.at),
        "cancelling_at": None if record.cancelled is None else int(record.cancelled),
        "request_counts": {"total": record.rows, **counts},
        "metadata": record.metadata,
    }


@dataclass
class Results:
    """The lines of both result files, in the order that they are written."""

    output: list[dict[str, Any]] = field(default_factory=list)
    errors: list[dict[str, Any]] = field(default_factory=list)
    tokens: Tokens = field(default_factory=Tokens)
    asked: list[str] = field(default_factory=list)


def run(record: Record, rows: list[dict[str, Any]], ask: Ask, came: Callable[[str], int]) -> Results:
    """Answer the rows that a batch gets done, in an order of its own; the others expired or were cancelled."""
    status, _, share = ends(record)
    settings = Batches.model_validate(record.settings)
    order = list(rows)
    generator("batch", record.id).shuffle(order)
    results = Results()
    done = round(share * len(order))
    for place, row in enumerate(order):
        name = row["custom_id"]
        head = {"id": f"batch_req_{record.id[-8:]}_{place}", "custom_id": name}
        if place >= done:
            error = {"code": f"batch_{status}", "message": f"This request was not executed: the batch {status}."}
            results.errors.append({**head, "response": None, "error": error})
            continue
        code, body = _row(row["body"], uniform("batch-row", record.id, name) < settings.rate_failed, ask, came, results)
        response = {"status_code": code, "request_id": f"req_{place}", "body": body}
        (results.output if code == 200 else results.errors).append({**head, "response": response, "error": None})
    return results


def _row(
    body: dict[str, Any], fails: bool, ask: Ask, came: Callable[[str], int], results: Results
) -> tuple[int, dict[str, Any]]:
    if fails:
        words = "The server had an error while processing your request."
        return 500, {"error": {"message": words, "type": "server_error", "param": None, "code": None}}
    content = content_hash(body)
    try:
        answer = ask(body, came(content))
    except Refusal as refusal:
        return refusal.status, refusal.body
    results.tokens.add(answer["usage"])
    results.asked.append(content)
    return 200, answer


def as_json(record: Record) -> dict[str, Any]:
    return asdict(record)
