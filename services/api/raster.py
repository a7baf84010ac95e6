"""A figure as PNG, for papers and slides that take no SVG: light, at twice its size, with letters of our own.

The fonts beside this file are DejaVu Sans without the scripts that figures have no words in, so that a machine without
any font draws the same picture as every other one. `fonts/README.md` says how they were made.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import resvg_py

FONTS = Path(__file__).parent / "fonts"
OURS = "DejaVu Sans"
SCALE = 2
STYLE = re.compile(r"<style[^>]*>.*?</style>", re.S)
ROOT = re.compile(r":root\s*\{([^{}]*)\}")
COLOUR = re.compile(r"(--[\w-]+)\s*:\s*(#[0-9a-fA-F]{3,8})\b")
USED = re.compile(r"var\((--[\w-]+)\)")
ELSEWHERE = re.compile(r"[^\u0000-\u024f\u0370-\u04ff\u1e00-\u22ff\u2500-\u27bf]")
"""Letters that our fonts lack: what the system has is looked through for them, which takes longer."""


def png(svg: str) -> bytes:
    """What a figure that stands alone (`pages.figures.alone`) looks like on paper, as PNG.

    Raises:
        ValueError: it is no SVG that can be drawn.
    """
    # The renderer knows no variables; of the two themes the first one, the light, is that of paper.
    theme = ROOT.search(svg)
    light = dict(COLOUR.findall(theme[1])) if theme else {}
    plain = USED.sub(lambda used: light.get(used[1], "#000000"), STYLE.sub("", svg))
    return resvg_py.svg_to_bytes(
        svg_string=plain.replace("font-family: inherit", f"font-family: {OURS}"),
        background=light.get("--paper", "#ffffff"),
        zoom=SCALE,
        font_family=OURS,
        sans_serif_family=OURS,
        font_files=[str(path) for path in sorted(FONTS.glob("*.ttf"))],
        skip_system_fonts=ELSEWHERE.search(plain) is None,
    )


if __name__ == "__main__":
    sys.stdout.buffer.write(png(sys.stdin.buffer.read().decode()))
