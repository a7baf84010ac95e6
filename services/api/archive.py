"""Everything of an experiment as one zip, made while it is sent: no file of it is held but the one on its way."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from services.api.pages.figures import Figure
from services.api.pictures import Pictures
from services.api.planned import Planned
from services.api.reportfiles import HTML, JSON, Reports
from shared.artifacts import Manifest, commit_prefix, oldest
from shared.experiments import PREFIX
from shared.human import votes_prefix
from shared.store import NotFound, ObjectStore

Entry = tuple[str, Callable[[], bytes | None]]
"""A file's name in the archive, and its bytes; None where it is gone meanwhile."""
PACKED = (".parquet", ".png")
"""What is compressed already."""
UNSAFE = re.compile(r"[^A-Za-z0-9._@+-]+")


class _Sent(io.RawIOBase):
    """What a zip writes, to be taken away as it grows; it cannot be gone back in."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._chunks.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        chunks, self._chunks = self._chunks, []
        return b"".join(chunks)


def zipped(entries: Iterable[Entry]) -> Iterator[bytes]:
    """A zip of these files, in pieces."""
    sent = _Sent()
    with zipfile.ZipFile(sent, "w") as archive:
        for name, read in entries:
            if (data := read()) is None:
                continue
            packed = zipfile.ZIP_STORED if name.endswith(PACKED) else zipfile.ZIP_DEFLATED
            archive.writestr(name, data, packed)
            yield sent.taken()
    yield sent.taken()


def contents(
    store: ObjectStore,
    reports: Reports,
    summary: Mapping[str, Any],
    planned: Planned | None,
    figures: Mapping[str, Figure],
    pictures: Pictures,
) -> Iterator[Entry]:
    """What an experiment's archive holds: spec, state, report, figures, people's votes, and every committed table with
    its commit.

    Raises:
        Outage: the store is away.
    """
    id = str(summary["id"])

    def read(name: str) -> Callable[[], bytes | None]:
        def bytes_of() -> bytes | None:
            try:
                return store.get(name)
            except NotFound:
                return None

        return bytes_of

    yield "spec.yaml", read(f"{PREFIX}{id}/spec.txt")
    yield "resolved.json", read(f"{PREFIX}{id}/resolved.json")
    yield "experiment.json", lambda: json.dumps(summary, indent=1).encode()
    for file in (JSON, HTML):
        yield file, lambda file=file: reports.file(dict(summary), file)  # type: ignore[misc]
    for info in store.list(votes_prefix(id)):
        yield f"votes/{safe(info.name.rpartition('/')[2])}", read(info.name)
    for figure in figures.values():
        yield f"figures/{safe(figure.name)}.svg", lambda figure=figure: figure.svg  # type: ignore[misc]
        # Drawing them takes tenths of a second each, and a phone's twin of another says nothing more.
        if not figure.narrow:
            yield f"figures/{safe(figure.name)}.png", lambda figure=figure: pictures.of(figure)  # type: ignore[misc]
    for row in summary["stages"]:
        if row["state"] == "committed" and (first := oldest(store.list(commit_prefix(row["key"])))) is not None:
            yield from _stage(store, row, first.name, planned, read)


def _stage(
    store: ObjectStore,
    row: Mapping[str, Any],
    commit: str,
    planned: Planned | None,
    read: Callable[[str], Callable[[], bytes | None]],
) -> Iterator[Entry]:
    """A stage's commit and its tables; weights stay in the store."""
    data = read(commit)()
    if data is None:
        return
    about = planned.about(row["key"]) if planned is not None else ""
    name = "-".join(part for part in (row["kind"], safe(about), row["key"][:12]) if part)
    yield f"stages/{name}.commit.json", lambda: data
    for file, ref in Manifest.from_json(data).files.items():
        if file.endswith(".parquet"):
            yield f"stages/{name}.{safe(file)}", read(ref.object)


def safe(text: str) -> str:
    """A text as part of a file's name."""
    return UNSAFE.sub("-", text).strip("-.")[:80]
