"""A small synchronous client of Touchstone's HTTP API: one method for each thing one can ask of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx

from touchstone_client import folders
from touchstone_client.download import Told, download, wanted
from touchstone_client.errors import FieldError, InvalidInput, Unreachable, problem_error
from touchstone_client.events import Event, follow

DEFAULT_URL = "http://127.0.0.1:8000"
TIMEOUT = httpx.Timeout(30, connect=5)
# The server hashes and stores an upload before it answers.
UPLOAD_TIMEOUT = httpx.Timeout(600, connect=5)

# What is shown of each: whoever answers without it is no Touchstone.
EXPERIMENT = ("id", "name")
DATASET = ("name", "kind", "rows", "sha256")
MODEL = ("name", "files", "sha256")
TEMPLATE = ("name", "entries")
EXPORT = ("arm", "bytes", "experiment", "files", "name", "seed")

Json = dict[str, Any]
Spec = str | Path | Mapping[str, Any]


class Client:
    """Talks to one Touchstone server; safe to share between threads.

    `http` replaces the transport, for tests. Every method raises the errors of `touchstone_client.errors`.
    """

    def __init__(self, base_url: str = DEFAULT_URL, token: str | None = None, http: httpx.Client | None = None) -> None:
        headers = {"Authorization": f"Bearer {_header('token', token)}"} if token else {}
        try:
            self._http = http or httpx.Client(base_url=base_url, timeout=TIMEOUT)
        except (httpx.InvalidURL, ValueError) as error:
            raise InvalidInput(FieldError("url", str(error), f"Give one like {DEFAULT_URL}.")) from None
        self._http.headers.update(headers)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def submit(self, spec: Spec, idempotency_key: str | None = None) -> Json:
        """Start an experiment: `{id, name, state}`. The same `idempotency_key` never starts a second one."""
        headers = {"Idempotency-Key": _header("Idempotency-Key", idempotency_key)} if idempotency_key else {}
        return self._send_spec("/v1/experiments", spec, headers, EXPERIMENT)

    def plan(self, spec: Spec) -> Json:
        """What an experiment would do, without doing it: its stages, those that are reused, requests and cost."""
        return self._send_spec("/v1/experiments/plan", spec, {}, ("name", "stages", "counts"))

    def get(self, id: str) -> Json:
        """An experiment with all of its stages."""
        return self._json("GET", f"/v1/experiments/{_part(id)}", EXPERIMENT)

    def list(self) -> Iterator[Json]:
        """All experiments, newest first, without their stages."""
        return self._pages("/v1/experiments", EXPERIMENT)

    def events(self, id: str, last_event_id: str | None = None, patience: float = 120) -> Iterator[Event]:
        """An experiment's events until it ends: a snapshot, then deltas (`touchstone_client.events.apply`).

        Connects again by itself, from the last event on; gives up after `patience` seconds without a connection.
        """
        return follow(self._http, f"/v1/experiments/{_part(id)}/events", last_event_id, patience)

    def report(self, id: str) -> Json | None:
        """The report as JSON (`partial` says whether more will come); None while there is not even a partial one."""
        response = self._request("GET", f"/v1/experiments/{_part(id)}/report", headers={"Accept": "application/json"})
        return None if response.status_code == 202 else _object(response, ())

    def critics(self, id: str) -> Json | None:
        """The cards of its critics and judges (`critics`, by name); None while there is not even a partial report."""
        response = self._request("GET", f"/v1/experiments/{_part(id)}/critics")
        return None if response.status_code == 202 else _object(response, ("critics",))

    def report_html(self, id: str) -> str | None:
        """The report as one self-contained HTML page; None while there is none."""
        response = self._request("GET", f"/v1/experiments/{_part(id)}/report", headers={"Accept": "text/html"})
        return None if response.status_code == 202 else response.text

    def human_sheet(
        self,
        id: str,
        n: int = 100,
        against: str = "arm",
        contrast: str = "",
        arm: str = "",
        seed: int | None = None,
    ) -> str:
        """A blinded sheet of pairs of completions as CSV, to be filled in and sent by `add_votes`."""
        given = {"n": n, "against": against, "contrast": contrast, "arm": arm, "seed": seed}
        return self._sheet(id, given, "text/csv").content.decode()

    def human_pairs(self, id: str, **given: Any) -> Json:
        """The same as `{items: [{row, prompt, left, right}]}`; takes what `human_sheet` takes."""
        return _object(self._sheet(id, given, "application/json"), ("items",))

    def _sheet(self, id: str, given: Mapping[str, Any], accept: str) -> httpx.Response:
        params = {name: str(value) for name, value in given.items() if value not in ("", None)}
        path = f"/v1/experiments/{_part(id)}/human/sheet"
        return self._request("GET", path, params=params, headers={"Accept": accept})

    def add_votes(self, id: str, votes: Path | Sequence[Mapping[str, str]], rater: str = "") -> Json:
        """Send votes, a filled-in sheet or `[{row, vote}]`: `{added, superseded, votes}`. All are kept or, where one is
        wrong, none."""
        path, fields = f"/v1/experiments/{_part(id)}/human/votes", ("added", "votes")
        if isinstance(votes, Path):
            given: dict[str, Any] = {"content": _read(votes), "headers": {"Content-Type": "text/csv"}}
            return self._json("POST", path, fields, params={"rater": rater} if rater else {}, **given)
        return self._json("POST", path, fields, json={"rater": rater, "votes": [dict(vote) for vote in votes]})

    def human(self, id: str) -> Json:
        """How far people and the judge agree, and the primary contrast corrected with votes (`trust`, by cell);
        `up_to_date` is false while the report with all votes is being made."""
        return self._json("GET", f"/v1/experiments/{_part(id)}/human", ("votes", "trust", "up_to_date"))

    def export_arm(self, id: str, arm: str, seed: int | None = None) -> Json:
        """What an arm's model consists of, for `download_export`: `{arm, seed, bytes, files: [{path, size, sha256}]}`.
        Without a seed the first one's; of a matrix an arm is called `name [cell]`."""
        path = f"/v1/experiments/{_part(id)}/arms/{_part(arm)}/export"
        return self._json("POST", path, EXPORT, json={} if seed is None else {"seed": seed})

    def download_export(self, export: Mapping[str, Any], folder: Path, told: Told | None = None) -> Path:
        """Write an export into a folder that `from_pretrained` takes: as a whole or not at all, and what was cut off
        goes on. `told` hears how many bytes came. Raises `InvalidInput` where the folder holds something else."""
        return download(self._http, wanted(export), folder, told or (lambda more: None))

    def cancel(self, id: str) -> Json:
        """Stop an experiment; what is committed stays."""
        return self._json("POST", f"/v1/experiments/{_part(id)}/cancel", EXPERIMENT)

    def resume(
        self, id: str, budget_usd: float | None = None, stage_budgets_usd: Mapping[str, float] | None = None
    ) -> Json:
        """Go on with a cancelled experiment, try failed stages again, or go on where the budget was spent, with a
        higher one in US dollars."""
        more = {"budget_usd": budget_usd, "stage_budgets_usd": dict(stage_budgets_usd or {})}
        given = {key: value for key, value in more.items() if value not in (None, {})}
        return self._json(
            "POST", f"/v1/experiments/{_part(id)}/resume", EXPERIMENT, **({"json": given} if given else {})
        )

    def stage_log(self, key: str) -> str:
        """A stage's log."""
        return self._request("GET", f"/v1/stages/{_part(key)}/log").text

    def add_dataset(
        self,
        file: Path,
        name: str,
        mapping: Mapping[str, str] | None = None,
        kind: str | None = None,
        preference: str | None = None,
    ) -> Json:
        """Upload a JSONL, Parquet or CSV file under a name; `mapping` is our column names to the file's."""
        form = {"name": name, "map": [f"{ours}={theirs}" for ours, theirs in (mapping or {}).items()]}
        form |= {key: value for key, value in (("kind", kind), ("preference", preference)) if value}
        with _open(file) as content:
            files = [("file", (file.name, content))]
            return self._json("POST", "/v1/datasets", DATASET, data=form, files=files, timeout=UPLOAD_TIMEOUT)

    def add_hub_dataset(
        self,
        dataset: str,
        name: str,
        file: str = "",
        mapping: Mapping[str, str] | None = None,
        kind: str | None = None,
        preference: str | None = None,
    ) -> Json:
        """Let the server take a dataset of the Hugging Face hub, `OWNER/NAME[@REVISION]`, under a name. What it is then
        is fixed: `origin` has the commit. `file` is one of its files, or a pattern of Parquet files."""
        form = [("name", name), ("hub", dataset), ("hub_file", file), ("kind", kind), ("preference", preference)]
        form += [("map", f"{ours}={theirs}") for ours, theirs in (mapping or {}).items()]
        # Without a file httpx sends a form of another type, which the server does not take.
        parts: Any = [(key, (None, value)) for key, value in form if value]
        return self._json("POST", "/v1/datasets", DATASET, files=parts, timeout=UPLOAD_TIMEOUT)

    def list_datasets(self) -> Iterator[Json]:
        """All datasets, by name."""
        return self._pages("/v1/datasets", DATASET)

    def add_model(self, name: str, folder: Path) -> Json:
        """Upload a model folder (safetensors or GGUF weights and the text files beside them) under a name."""
        paths = folders.model_files(folder)
        with ExitStack() as opened:
            files = [("files", (inside, opened.enter_context(_open(path)))) for inside, path in paths.items()]
            return self._json("POST", "/v1/models", MODEL, data={"name": name}, files=files, timeout=UPLOAD_TIMEOUT)

    def list_models(self) -> Iterator[Json]:
        """All models, by name."""
        return self._pages("/v1/models", MODEL)

    def add_template(self, name: str, file: Path) -> Json:
        """Upload what critics are asked (a text with places, or MT-Bench's judge_prompts.jsonl) under a name."""
        with _open(file) as content:
            files = [("file", (file.name, content))]
            return self._json("POST", "/v1/templates", TEMPLATE, data={"name": name}, files=files)

    def list_templates(self) -> Iterator[Json]:
        """All templates, by name."""
        return self._pages("/v1/templates", TEMPLATE)

    def _send_spec(self, path: str, spec: Spec, headers: Mapping[str, str], fields: Sequence[str]) -> Json:
        if isinstance(spec, Mapping):
            content, kind = json.dumps(spec).encode(), "application/json"
        else:
            content, kind = _read(spec) if isinstance(spec, Path) else spec.encode(), "application/yaml"
        return self._json("POST", path, fields, content=content, headers={"Content-Type": kind, **headers})

    def _pages(self, path: str, fields: Sequence[str]) -> Iterator[Json]:
        cursor: str | None = None
        while True:
            params = {"limit": "100", **({"cursor": cursor} if cursor else {})}
            page = self._json("GET", path, ("items",), params=params)
            items = page["items"] if isinstance(page["items"], list) else [page["items"]]
            yield from (_checked(item, path, fields) for item in items)
            if not (cursor := page.get("next_cursor")):
                return

    def _json(self, method: str, path: str, fields: Sequence[str], **given: Any) -> Json:
        return _object(self._request(method, path, **given), fields)

    def _request(self, method: str, path: str, **given: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **given)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise InvalidInput(FieldError("url", str(error), f"Give one like {DEFAULT_URL}.")) from None
        except httpx.RequestError as error:
            raise Unreachable(f"no answer from {self._http.base_url}: {error or type(error).__name__}") from error
        if response.is_error:
            raise problem_error(response)
        return response


def _object(response: httpx.Response, fields: Sequence[str]) -> Json:
    try:
        data = response.json()
    except ValueError:
        data = None
    return _checked(data, str(response.url), fields)


def _checked(data: Any, url: str, fields: Sequence[str]) -> Json:
    """An answer, or a part of one, if it has what a Touchstone's has."""
    if not isinstance(data, dict):
        raise Unreachable(f"{url} is no Touchstone server: it did not answer with JSON as one does")
    if missing := [field for field in fields if field not in data]:
        raise Unreachable(f"{url} is no Touchstone server: its answer has no {' and no '.join(missing)}")
    return data


def _header(field: str, value: str) -> str:
    """A value that an HTTP header can hold."""
    if not (value.isascii() and value.isprintable()):
        raise InvalidInput(FieldError(field, "holds what no header can", "Use printable ASCII characters alone."))
    return value


def _part(text: str) -> str:
    """One part of a URL's path."""
    return quote(text, safe="")


def _open(path: Path) -> Any:
    try:
        return path.open("rb")
    except OSError as error:
        raise InvalidInput(
            FieldError(str(path), error.strerror or str(error), "Give a file that can be read.")
        ) from None


def _read(path: Path) -> bytes:
    with _open(path) as file:
        data: bytes = file.read()
        return data
