"""Templates that users add: immutable JSON by content hash, and names beside them.

    templates/<sha256>.json                one template
    templates/names/<name>.<ulid>.json     what a name means; the newest counts (shared/names.py)

A spec names one as `template:NAME`, or `template:NAME/ENTRY` where the file had several.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from shared.errors import BadInput, PermanentError
from shared.names import check_name, newest_record, newest_records, write_record
from shared.store import NotFound, ObjectStore
from shared.templates.template import Sort, Template
from shared.templates.uploads import ReadTemplates

SCHEMA = "touchstone/template/1"
NAMES = "templates/names"


@dataclass(frozen=True)
class TemplateInfo:
    """What a name means: each entry's content hash and sort (a text has the one entry ""), and those left out."""

    name: str
    entries: dict[str, str]
    sorts: dict[str, Sort]
    skipped: dict[str, str]
    created: str = ""


def publish_templates(store: ObjectStore, name: str, read: ReadTemplates) -> TemplateInfo:
    """Store the templates of a file and let `name` mean them.

    Raises:
        BadInput: the name is not safe.
        Outage: the store is away.
    """
    check_name(name)
    for template in read.templates.values():
        if not store.exists(_object(template.sha256)):
            content = {name: getattr(template, name) for name in ("sort", "system", "text", "brackets")}
            store.put(_object(template.sha256), json.dumps({"schema": SCHEMA, **content}).encode())
    info = TemplateInfo(
        name,
        {entry: template.sha256 for entry, template in read.templates.items()},
        {entry: template.sort for entry, template in read.templates.items()},
        read.skipped,
        datetime.now(UTC).isoformat(timespec="milliseconds"),
    )
    write_record(store, NAMES, name, {"schema": SCHEMA, **asdict(info)})
    return info


def list_templates(
    store: ObjectStore, limit: int | None = None, after: str = ""
) -> tuple[list[TemplateInfo], str | None]:
    """Templates by name, those after the name `after`; and the name to go on after, None at the end."""
    found, more = newest_records(store, NAMES, limit, after)
    return [_info(record) for record in found], more


def pin_template(store: ObjectStore, field: str, reference: str, sort: Sort) -> str:
    """The content hash that `template:NAME` or `template:NAME/ENTRY` means now.

    Raises:
        BadInput: there is none of this name, or several of this sort.
    """
    name, _, entry = reference.removeprefix("template:").partition("/")
    record = newest_record(store, NAMES, name)
    if record is None:
        raise BadInput(field, f"there is no template {name!r}", f"Add it first: touchstone template add {name} FILE")
    info = _info(record)
    if entry and entry not in info.entries:
        why = f" ({info.skipped[entry]})" if entry in info.skipped else ""
        raise BadInput(field, f"template {name!r} has no entry {entry!r}{why}", _entries(info))
    if entry:
        return info.entries[entry]
    fitting = [one for one, its in info.sorts.items() if its == sort] or list(info.entries)
    if len(fitting) > 1:
        raise BadInput(field, f"template {name!r} has several entries", _entries(info))
    return info.entries[fitting[0]]


def read_template(store: ObjectStore, sha256: str) -> Template:
    """A template by its content hash.

    Raises:
        PermanentError: the store lacks it, or holds something else under its name.
    """
    try:
        data: dict[str, Any] = json.loads(store.get(_object(sha256)))
    except NotFound as error:
        raise PermanentError(f"the template {sha256} is not in the store") from error
    template = Template(data["sort"], data["text"], data["system"], data["brackets"])
    if template.sha256 != sha256:
        raise PermanentError(f"the template {sha256} is not what was added: it changed in the store")
    return template


def _entries(info: TemplateInfo) -> str:
    return f"Write one of: {', '.join(f'template:{info.name}/{entry}' for entry in sorted(info.entries))}."


def _object(sha256: str) -> str:
    return f"templates/{sha256}.json"


def _info(record: dict[str, Any]) -> TemplateInfo:
    return TemplateInfo(**{key: value for key, value in record.items() if key != "schema"})
