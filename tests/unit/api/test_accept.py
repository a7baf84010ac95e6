"""JSON or HTML, as Accept says (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import pytest

from services.api.accept import prefers_html


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json", False),
        ("text/html", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html;q=0.5, application/json", False),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/*", True),
        ("application/*, text/html", False),
        ("*/*, application/json;q=0", True),
        ("image/png", None),
        ("text/html;q=0, application/json;q=0", None),
        ("text/html;q=x", None),
    ],
)
def test_preference(accept: str, html: bool | None) -> None:
    assert prefers_html(accept) is html
