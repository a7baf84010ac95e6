"""Which of two representations an Accept header asks for."""

from __future__ import annotations

JSON_TYPES = {"application/json": 3, "application/*": 2, "*/*": 1}
HTML_TYPES = {"text/html": 3, "text/*": 2, "*/*": 1}


def prefers_html(accept: str) -> bool | None:
    """True for HTML, False for JSON (also where both are equally welcome), None where neither is acceptable."""
    ranges = [_range(part) for part in accept.split(",") if part.strip()] or [("*/*", 1.0)]
    json, html = _quality(ranges, JSON_TYPES), _quality(ranges, HTML_TYPES)
    if json == html == 0:
        return None
    return html > json


def _range(part: str) -> tuple[str, float]:
    kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
    quality = 1.0
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
    return kind, quality


def _quality(ranges: list[tuple[str, float]], types: dict[str, int]) -> float:
    """The quality that the most specific fitting range gives (RFC 9110, section 12.5.1)."""
    fitting = [(types[kind], quality) for kind, quality in ranges if kind in types]
    return max(fitting)[1] if fitting else 0.0
