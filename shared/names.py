"""Names that people give to datasets and models: append-only records beside immutable content, the newest wins.

A record is `<prefix>/<name>.<ulid>.json`. Nothing is ever overwritten, so a name's history stays readable and an
experiment that pinned a hash is never touched by a later upload under the same name.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ulid import ULIDGenerator

from shared.errors import BadInput
from shared.store import ObjectStore

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?")
NAME_FIX = "Use 1 to 100 letters, digits, dots, dashes and underscores, with a letter or digit at both ends."
RECORD = re.compile(r"(?P<name>.+)\.(?P<ulid>[0-9A-HJKMNP-TV-Z]{26})\.json")

# Two records of one process within a millisecond still keep their order.
_ulids = ULIDGenerator()


def check_name(name: str, field: str = "name") -> str:
    """Return `name` if it is safe as a part of an object's name and of a path.

    Raises:
        BadInput: it has slashes, spaces, a leading or trailing dot, or more than 100 characters.
    """
    if not NAME.fullmatch(name):
        raise BadInput(field, f"{name[:120]!r} is not a safe name", NAME_FIX)
    return name


def write_record(store: ObjectStore, prefix: str, name: str, record: dict[str, Any]) -> None:
    """Let `name` mean `record` from now on."""
    store.put(f"{prefix}/{check_name(name)}.{_ulids.generate()}.json", json.dumps(record).encode())


def newest_record(store: ObjectStore, prefix: str, name: str) -> dict[str, Any] | None:
    """What `name` means now; None if nobody gave it."""
    key = _newest_keys(store, prefix, f"{prefix}/{check_name(name)}.").get(name)
    return None if key is None else _read(store, key)


def newest_records(
    store: ObjectStore, prefix: str, limit: int | None = None, after: str = ""
) -> tuple[list[dict[str, Any]], str | None]:
    """The newest record of each name, by name, those after the name `after`; and the name to go on after, if any."""
    keys = _newest_keys(store, prefix, f"{prefix}/")
    names = sorted(name for name in keys if name > after)
    page = names if limit is None else names[:limit]
    return [_read(store, keys[name]) for name in page], (page[-1] if len(page) < len(names) else None)


def _newest_keys(store: ObjectStore, prefix: str, listed: str) -> dict[str, str]:
    """The newest record's object by name. A listing of `a.` also shows `a.5.<ulid>.json`, the record of `a.5`."""
    newest: dict[str, str] = {}
    for info in store.list(listed):
        match = RECORD.fullmatch(info.name.removeprefix(f"{prefix}/"))
        if match and info.name > newest.get(match["name"], ""):
            newest[match["name"]] = info.name
    return newest


def _read(store: ObjectStore, key: str) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(store.get(key))
    return record
