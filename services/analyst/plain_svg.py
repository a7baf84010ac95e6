"""SVG written by hand, for drawings that are a few boxes and words; in the page's colours, like svg.py's."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape


def framed(width: float, height: float, name: str, title: str, text: str, parts: Iterable[str]) -> str:
    """An `<svg>` of this size in CSS pixels; `name` makes its ids unique, `title` and `text` are read out."""
    return (
        f'<svg class="{name.split("-")[-1]}" viewBox="0 0 {width:g} {height:g}" role="img" '
        # As large as it was drawn at most: its letters are to be those of the page.
        f'style="max-width: {width:g}px" '
        f'aria-labelledby="{name}-title {name}-desc" xmlns:xlink="http://www.w3.org/1999/xlink">'
        f'<title id="{name}-title">{escape(title)}</title><desc id="{name}-desc">{escape(text)}</desc>'
        f"{''.join(parts)}</svg>"
    )


def box(x: float, y: float, width: float, height: float, fill: str, opacity: float = 1.0) -> str:
    """A rectangle in one of the page's colours (`accent`)."""
    return (
        f'<rect x="{x:g}" y="{y:g}" width="{max(width, 0):g}" height="{height:g}" '
        f'style="fill: var(--{fill}); fill-opacity: {opacity:g}"/>'
    )


def line(x1: float, y1: float, x2: float, y2: float, stroke: str, width: float = 1.0, dashes: str = "") -> str:
    dashed = f"; stroke-dasharray: {dashes}" if dashes else ""
    return (
        f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" '
        f'style="stroke: var(--{stroke}); stroke-width: {width:g}{dashed}"/>'
    )


def dot(x: float, y: float, radius: float, fill: str) -> str:
    return f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" style="fill: var(--{fill})"/>'


def words(
    x: float, y: float, text: str, fill: str = "ink", size: float = 12, anchor: str = "middle", bold: bool = False
) -> str:
    """A line of text; `anchor` is SVG's: start, middle or end."""
    weight = "; font-weight: 700" if bold else ""
    return (
        f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" '
        f'style="fill: var(--{fill}); font-size: {size:g}px{weight}">{escape(text)}</text>'
    )
