"""The page's pure parts: places on the axis, figures taken out of a report, who may go where."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from services.api.guard import form_token, is_form_token
from services.api.pages.figures import figures, paired
from services.api.pages.wording import between, money, number
from services.api.routers.actions import dollars_of
from services.api.routers.login import own_path
from shared.errors import BadInput
from shared.interval_drawing import LEFT, RIGHT, place

REPORT = b"""<!doctype html><style>:root { --paper: #fff; --ink: #111 } body { margin: 0 }
@media (prefers-color-scheme: dark) { :root { --paper: #000 } }</style>
<svg class="wide" viewBox="0 0 880 790.5" role="img" aria-labelledby="forest-wide-title forest-wide-desc"
 xmlns:xlink="http://www.w3.org/1999/xlink"><title id="forest-wide-title">A &amp; B</title>
<desc id="forest-wide-desc">In words</desc><path style="stroke: var(--ink)" d="M0 0"/></svg>
<svg viewBox="0 0 10 10"><path d="M0 0"/></svg>"""


def test_what_has_no_interval_says_none() -> None:
    assert between([-3.14, 2.0]) == "−3.1 to 2.0" and between([0.123, 0.5], 2) == "0.12 to 0.50"
    assert between([None, None]) == ""


@pytest.mark.parametrize(
    ("estimate", "low", "high", "delta"),
    [(-7.8, -10.1, -5.4, 2), (0, 0, 0, 0), (40, 39, 41, 2), (1, -30, 32, -5), (0.1, -0.2, 0.4, 0.3)],
)
def test_everything_has_its_place_and_words_fit_beside_delta(
    estimate: float, low: float, high: float, delta: float
) -> None:
    drawn = place(estimate, low, high, delta)
    assert 0 <= drawn.low <= drawn.estimate <= drawn.high <= 100
    assert 0 <= drawn.zero <= 100 and LEFT - 0.1 <= drawn.delta <= RIGHT + 0.1
    assert (drawn.low > drawn.delta) == (low > delta)


def test_a_titled_figure_of_a_report_stands_alone_in_both_themes() -> None:
    found = figures(REPORT)
    (figure,) = found.values()
    assert (figure.name, figure.title, figure.text) == ("forest-wide", "A & B", "In words")
    assert (figure.width, figure.height) == (880, 790)
    assert b"<text" not in figure.svg
    root = ET.fromstring(figure.svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg" and root.get("width") == "880"
    style = root[0].text or ""
    assert "--ink: #111" in style and "prefers-color-scheme: dark" in style and "margin" not in style


def test_figures_are_paired_with_their_twin_for_a_phone_and_their_cell() -> None:
    drawn = b"".join(
        REPORT.replace(b"forest-wide", name) for name in (b"c2-forest-wide", b"c2-forest-narrow", b"critic0")
    )
    (first, other) = paired(figures(drawn), ["fraction=0.1", "fraction=0.3"])
    assert (first[0].name, first[1] and first[1].name, first[2]) == (
        "c2-forest-wide",
        "c2-forest-narrow",
        "fraction=0.3",
    )
    assert (other[0].name, other[1], other[2]) == ("critic0", None, "")


def test_curves_bring_the_legend_that_stands_before_them() -> None:
    before = b"""<ul class="legend" aria-label="Colours of the arms"><li><span class="swatch dash-1"
 style="border-color: var(--series-3)"></span>rlaif &lt;weak&gt;</li></ul>""".replace(b"\n", b"")
    (figure,) = figures(before + REPORT.replace(b"var(--ink)", b"var(--series-3)")).values()
    assert (figure.width, figure.height) == (880, 810)
    (text,) = ET.fromstring(figure.svg).findall("{http://www.w3.org/2000/svg}text")
    assert text.text == "rlaif <weak>"


@pytest.mark.parametrize("path", ["//evil.example", "https://evil.example", "/\\evil.example", "evil", "", "/a\nb"])
def test_after_the_token_nobody_is_sent_elsewhere(path: str) -> None:
    assert own_path(path) == "/"
    assert own_path("/experiments/x?arm_a=b") == "/experiments/x?arm_a=b"


def test_a_form_bears_its_own_tokens_proof() -> None:
    assert is_form_token("secret", form_token("secret"))
    assert not is_form_token("secret", form_token("other")) and not is_form_token("secret", "")


def test_amounts_as_people_write_and_read_them() -> None:
    assert dollars_of(" $1,200.50 ") == 1200.5
    for wrong in ("", "many", "-1", "inf", "nan"):
        with pytest.raises(BadInput):
            dollars_of(wrong)
    assert (money(0), money(0.0042), money(1204.5), money(None)) == ("$0.00", "$0.0042", "$1,204.50", "–")
    assert (number(-0.01), number(-3.14), number(None)) == ("0.0", "−3.1", "–")
