"""The report's figures, taken out of its one file: each an SVG of its own that knows light and dark."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape, unescape

SVG = re.compile(r"<svg\b[^>]*\baria-labelledby=\"([A-Za-z0-9_.:-]+?)-title .*?</svg>", re.S)
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.S)
TEXT = re.compile(r"<desc[^>]*>(.*?)</desc>", re.S)
ROOT = re.compile(r":root\s*\{[^{}]*\}")
DARK = re.compile(r"@media\s*\(prefers-color-scheme:\s*dark\)\s*\{\s*:root\s*\{[^{}]*\}\s*\}")
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.S)
BOX = re.compile(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"')
LEGEND = re.compile(r'<ul class="legend".*?</ul>', re.S)
ENTRY = re.compile(
    r'<span class="swatch dash-(\d+)" style="border-color: var\((--series-\d+)\)"></span>(.*?)</li>', re.S
)
DASHES = {"1": "5 2", "2": "1.5 1.5"}
LINE, COLUMNS = 20, 2
FONT = '"Segoe UI", system-ui, -apple-system, "Helvetica Neue", "Liberation Sans", Arial, sans-serif'


@dataclass(frozen=True)
class Figure:
    """`name` is unique in the report; width and height are CSS pixels; `svg` stands alone."""

    name: str
    title: str
    text: str
    width: int
    height: int
    svg: bytes

    @property
    def narrow(self) -> bool:
        """Whether it is the same as another one, drawn for a phone."""
        return self.name.endswith("-narrow")


def figures(page: bytes) -> dict[str, Figure]:
    """Every titled figure of a report's HTML by its name, in their order."""
    html = page.decode(errors="replace")
    style = themes(html)
    legends = [(match.start(), ENTRY.findall(match[0])) for match in LEGEND.finditer(html)]
    found = {}
    for match in SVG.finditer(html):
        name, drawn = match[1], match[0]
        title, text, box = TITLE.search(drawn), TEXT.search(drawn), BOX.search(drawn)
        if title is None or box is None:
            continue
        # Curves share the legend before them, which stands outside of their drawings.
        shared = [entries for start, entries in legends if start < match.start()] if "var(--series-" in drawn else []
        entries = shared[-1] if shared else []
        width, height = float(box[1]), float(box[2]) + LINE * -(-len(entries) // COLUMNS)
        svg = alone(drawn, width, height, style, legend(entries, width, float(box[2])))
        found[name] = Figure(
            name, unescape(title[1]), unescape(text[1]) if text else "", round(width), round(height), svg
        )
    return found


def paired(found: Mapping[str, Figure], cells: Sequence[str]) -> list[tuple[Figure, Figure | None, str]]:
    """Each figure with its twin for a phone, if it has one, and the cell of a matrix that it is of (else empty)."""
    narrow = {name.removesuffix("-narrow"): one for name, one in found.items() if one.narrow}
    return [
        (one, narrow.get(name.removesuffix("-wide")), cell_of(name, cells))
        for name, one in found.items()
        if not one.narrow
    ]


def cell_of(name: str, cells: Sequence[str]) -> str:
    """The cell that a figure's name begins with, by its number; the report counts them from 1."""
    match = re.match(r"c(\d+)-", name)
    return cells[int(match[1]) - 1] if match and 0 < int(match[1]) <= len(cells) else ""


def themes(page: str) -> str:
    """The report's colours, light and dark."""
    style = "".join(STYLE.findall(page))
    light, dark = ROOT.search(style), DARK.search(style)
    return (light[0] if light else "") + (dark[0] if dark else "")


def legend(entries: list[tuple[str, str, str]], width: float, top: float) -> str:
    """What each line's colour and dashes stand for, below a drawing."""
    drawn = []
    for number, (dash, series, arm) in enumerate(entries):
        x = 8 + (number % COLUMNS) * width / COLUMNS
        y = top + LINE * (number // COLUMNS) + LINE / 2
        dashes = f' stroke-dasharray="{DASHES[dash]}"' if dash in DASHES else ""
        drawn.append(
            f'<line x1="{x:g}" x2="{x + 22:g}" y1="{y:g}" y2="{y:g}" style="stroke: var({series}); stroke-width: 2"'
            f'{dashes}/><text x="{x + 28:g}" y="{y + 4:g}" style="fill: var(--ink); font-size: 12px">'
            f"{escape(unescape(arm.strip()))}</text>"
        )
    return "".join(drawn)


def alone(drawn: str, width: float, height: float, style: str, more: str) -> bytes:
    """The drawing as a file: its names declared, its size set, the page's colours and a legend with it."""
    head, rest = drawn.split(">", 1)
    head = re.sub(r'\s(xmlns(:xlink)?|width|height|class|viewBox)="[^"]*"', "", head)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    size = f'viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}"'
    own = f"{style}svg{{background:var(--paper);font-family:{FONT}}}"
    return f"{head} {names} {size}><style>{own}</style>{rest.removesuffix('</svg>')}{more}</svg>".encode()
