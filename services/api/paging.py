"""Cursors over the list of experiments, which may grow while somebody reads it."""

from __future__ import annotations

import base64
import binascii

from services.api.deps import ID, bad_cursor
from services.api.listing import Row, place


def page_of(rows: list[Row], cursor: str, limit: int) -> tuple[list[Row], str | None]:
    """The page after a cursor, and the cursor of the next one; None at the end. Raises `BadInput` for a wrong one."""
    start = _after(rows, cursor) if cursor else 0
    page = rows[start : start + limit]
    return page, _cursor(page[-1]) if start + limit < len(rows) else None


def _cursor(row: Row) -> str:
    return base64.urlsafe_b64encode(f"{row['created']}|{row['id']}".encode()).decode()


def _after(rows: list[Row], cursor: str) -> int:
    """The index of the first row after the one that a cursor names, also where that one is gone."""
    try:
        created, _, id = base64.urlsafe_b64decode(cursor.encode()).decode().partition("|")
    except (binascii.Error, UnicodeError):
        raise bad_cursor() from None
    if not ID.fullmatch(id):
        raise bad_cursor()
    return sum(place(row) >= (created, id) for row in rows)
