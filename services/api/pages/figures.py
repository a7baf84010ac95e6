"""The report's figures, taken out of its one file: each an SVG of its own that knows light and dark."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape

SVG = re.compile(rb"<svg\b[^>]*\baria-labelledby=\"([A-Za-z0-9_.:-]+?)-title .*?</svg>", re.S)
TITLE = re.compile(r"<title[^>]*>(.*?)</title>", re.S)
TEXT = re.compile(r"<desc[^>]*>(.*?)</desc>", re.S)
ROOT = re.compile(r":root\s*\{[^{}]*\}")
DARK = re.compile(r"@media\s*\(prefers-color-scheme:\s*dark\)\s*\{\s*:root\s*\{[^{}]*\}\s*\}")
STYLE = re.compile(r"<style[^>]*>(.*?)</style>", re.S)
BOX = re.compile(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"')
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
    style = themes(page.decode(errors="replace"))
    found = {}
    for match in SVG.finditer(page):
        name, drawn = match[1].decode(), match[0].decode(errors="replace")
        title, text, box = TITLE.search(drawn), TEXT.search(drawn), BOX.search(drawn)
        if title is None or box is None:
            continue
        found[name] = Figure(
            name,
            unescape(title[1]),
            unescape(text[1]) if text else "",
            round(float(box[1])),
            round(float(box[2])),
            alone(drawn, box, style),
        )
    return found


def themes(page: str) -> str:
    """The report's colours, light and dark."""
    style = "".join(STYLE.findall(page))
    light, dark = ROOT.search(style), DARK.search(style)
    return (light[0] if light else "") + (dark[0] if dark else "")


def alone(drawn: str, box: re.Match[str], style: str) -> bytes:
    """The drawing as a file: its names declared, its size set, the page's colours with it."""
    head, rest = drawn.split(">", 1)
    head = re.sub(r'\s(xmlns(:xlink)?|width|height|class)="[^"]*"', "", head)
    names = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    own = f"{style}svg{{background:var(--paper);font-family:{FONT}}}"
    return f'{head} {names} width="{box[1]}" height="{box[2]}"><style>{own}</style>{rest}'.encode()
