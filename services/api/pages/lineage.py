"""A stage of a lineage as its page shows it."""

from __future__ import annotations

from dataclasses import dataclass

from services.api.lineage import Step
from services.api.pages.stages import NAMED
from services.api.pages.trained import facts
from services.api.pages.wording import KINDS, duration, money


@dataclass(frozen=True)
class FileView:
    """One file: bytes as people read them."""

    name: str
    sha256: str
    size: str
    rows: int | None


@dataclass(frozen=True)
class StepView:
    """One stage; what is not known is empty."""

    key: str
    kind: str
    name: str
    about: str
    arms: str
    state: str
    host: str
    finished: str
    took: str
    usd: str
    device: str
    attempt: str
    commit: str
    files: tuple[FileView, ...]
    versions: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    """of a training: how fast it was, and what became of it"""
    inputs: tuple[tuple[str, str, str], ...]
    """of what it read: the name under which it did, the stage's key, the commit's hash"""


def view(step: Step) -> StepView:
    """A step in words."""
    row, commit = step.row, step.commit
    known = {
        "key": step.key,
        "kind": str(row["kind"]),
        "name": KINDS.get(row["kind"], str(row["kind"])),
        "about": step.about,
        "arms": ", ".join(row["arms"]) if len(row["arms"]) <= NAMED else f"{len(row['arms'])} arms",
        "state": str(row["state"]),
    }
    if commit is None:
        usd = money(row.get("standalone_usd")) if row["state"] == "committed" else ""
        told = {"finished": row.get("finished") or "", "usd": usd}
        blank = dict.fromkeys(("host", "took", "device", "attempt", "commit"), "")
        return StepView(**known, **told, **blank, files=(), versions=(), facts=(), inputs=())
    ref, manifest = commit
    return StepView(
        **known,
        host=manifest.host,
        finished=manifest.finished,
        took=duration(step.seconds or 0.0),
        usd=money(manifest.cost.usd),
        device=duration(manifest.cost.device_seconds) if manifest.cost.device_seconds else "",
        attempt=manifest.attempt,
        commit=ref.sha256,
        files=tuple(FileView(name, one.sha256, size(one.size), one.rows) for name, one in manifest.files.items()),
        versions=tuple(sorted(manifest.versions.items())),
        facts=facts(manifest.metrics),
        inputs=tuple((name, one.key, one.sha256) for name, one in manifest.inputs.items()),
    )


def size(count: int) -> str:
    """Bytes as people read them: `12 kB`."""
    for unit, many in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= many:
            return f"{count / many:.3g} {unit}"
    return f"{count} bytes"
