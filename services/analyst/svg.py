"""Matplotlib figures as inline SVG that takes its colours and fonts from the page, in light and in dark."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Callable
from html import escape

import matplotlib
from matplotlib.figure import Figure

# Each role of a colour is drawn in a hex of its own, which is then replaced by the page's variable.
INK, MUTED, RULE, BAND, ACCENT, PAPER, HIGHLIGHT = (f"#00000{n}" for n in range(1, 8))
SERIES = tuple(f"#0000{n:02x}" for n in range(16, 24))
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    RULE: "--rule",
    BAND: "--band",
    ACCENT: "--accent",
    PAPER: "--paper",
    HIGHLIGHT: "--highlight",
} | {colour: f"--series-{number}" for number, colour in enumerate(SERIES)}

SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "touchstone",
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "xtick.color": RULE,
    "ytick.color": RULE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "font.size": 12.0,
    "axes.unicode_minus": True,
}
# Settings of matplotlib are global to the process, and a worker has several threads.
_lock = threading.Lock()


def draw(width: float, height: float, paint: Callable[[Figure], None], name: str, title: str, text: str) -> str:
    """An `<svg>` of `width` x `height` CSS pixels at its natural size, that scales with its column.

    `name` makes its ids unique within the page; `title` and `text` are read by screen readers.
    """
    with _lock, matplotlib.rc_context(SETTINGS):
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        paint(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return themed(buffer.getvalue(), name, title, text)


def themed(svg: str, name: str, title: str, text: str) -> str:
    """Make matplotlib's SVG part of a page: no prologue, own ids, the page's colours and font, a title."""
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<style type=\"text/css\">.*?</style>", "", body, flags=re.S)
    body = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', body)
    body = re.sub(r'(xlink:href="#|url\(#)', rf"\1{name}-", body)
    body = re.sub(r"font-family: [^;\"]+", "font-family: inherit", body)
    body = re.sub(r"font: (?:(\w+) )?(\d[\d.]*px) [^;\"]+", r"font-weight: \1; font-size: \2", body)
    body = re.sub(r"#0000[0-9a-f]{2}\b", lambda found: f"var({VARIABLES.get(found[0], '--ink')})", body)
    box = re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', body)
    assert box is not None
    head = (
        f'<svg class="{name.split("-")[-1]}" viewBox="0 0 {box[1]} {box[2]}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(text)}</desc>'
    )
    return re.sub(r"<svg[^>]*>", lambda _: head, body, count=1)
