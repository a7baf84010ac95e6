"""A figure as PNG: the report's own drawing in light colours, with letters whatever the machine has."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import resvg_py
from PIL import Image

from services.analyst.plain_svg import box, framed, words
from services.api import raster
from services.api.pages.figures import Figure, alone
from services.api.pictures import Pictures

STYLE = ":root { --paper: #fcfbf8; --ink: #1d1c1a; --accent: #0a5a9c }" + (
    "@media (prefers-color-scheme: dark) { :root { --paper: #141517; --ink: #eceae6; --accent: #79b8f3 } }"
)


def drawn(*parts: str) -> bytes:
    return alone(framed(100, 40, "x", "title", "text", parts), 100, 40, STYLE, "")


def pixels(svg: bytes) -> Image.Image:
    return Image.open(io.BytesIO(raster.png(svg.decode()))).convert("RGB")


def test_it_has_twice_the_size_and_the_light_theme() -> None:
    image = pixels(drawn(box(10, 10, 20, 20, "accent")))
    assert image.size == (200, 80)
    assert (image.getpixel((5, 5)), image.getpixel((40, 40))) == ((0xFC, 0xFB, 0xF8), (0x0A, 0x5A, 0x9C))


def settings_given(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the renderer is asked for from now on."""
    given: list[dict[str, Any]] = []
    real = resvg_py.svg_to_bytes

    def seen(**settings: Any) -> bytes:
        given.append(settings)
        return real(**settings)

    monkeypatch.setattr(resvg_py, "svg_to_bytes", seen)
    return given


@pytest.mark.parametrize("text", ["rlaif-weak", "−δ ± 2.0 × 3 → ≥", "Ёлка Łódź Ελλάδα"])
def test_every_letter_is_drawn_with_no_font_of_the_system(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_given(monkeypatch)
    for letter in text.replace(" ", ""):
        image = pixels(drawn(words(20, 30, letter, size=20)))
        darkest, _ = image.convert("L").getextrema()
        assert isinstance(darkest, int) and darkest < 80, f"{letter!r} left no ink"
    assert given and all(settings["skip_system_fonts"] for settings in given)


def test_fonts_of_the_system_are_asked_for_other_scripts_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given = settings_given(monkeypatch)
    raster.png(drawn(words(0, 0, "語")).decode())
    assert given[0]["skip_system_fonts"] is False


def test_pictures_are_drawn_by_another_process_and_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, figure = Pictures(), Figure("x", "", "", 100, 40, drawn(box(10, 10, 20, 20, "accent")))
    first = pictures.of(figure)
    assert first is not None and Image.open(io.BytesIO(first)).size == (200, 80)
    monkeypatch.setattr(subprocess, "run", None)
    assert pictures.of(figure) == first


def test_what_cannot_be_drawn_is_none() -> None:
    assert Pictures().of(Figure("x", "", "", 1, 1, b"no svg")) is None


def test_the_renderer_needs_nothing_of_the_checkout(tmp_path: Path) -> None:
    made = subprocess.run(
        [sys.executable, "-P", raster.__file__], cwd=tmp_path, input=drawn(), stdout=subprocess.PIPE, check=True
    )
    assert made.stdout.startswith(b"\x89PNG")
