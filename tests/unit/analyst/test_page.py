"""The HTML file: complete, self-contained, escaped, and accessible."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from services.analyst.build import build_report
from services.analyst.page import to_html, unbroken
from services.analyst.params import ReportParams
from services.analyst.reading import clip, read_inputs
from services.analyst.spectext import line_of, spec_yaml
from tests.unit.analyst.fixture import experiment, offline, quickstart

VOID = {"meta", "br", "path", "use", "link", "img", "hr", "input"}


class Page(HTMLParser):
    """Elements, attributes and text; checks that every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: Counter[str] = Counter()
        self.words: list[str] = []
        self.feed(text)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.words.append(data)


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("cache")
    found = {}
    for name, spec in (("quickstart", quickstart()), ("looks", quickstart(looks=3)), ("offline", offline())):
        made = experiment(folder, spec)
        found[name] = to_html(
            build_report(read_inputs(ReportParams.model_validate(made.params), made.artifacts()))
        ).decode()
    made = experiment(folder)
    inputs = read_inputs(ReportParams.model_validate(made.params), made.artifacts(tuple(made.keys("judge")[::2])))
    found["partial"] = to_html(build_report(inputs, partial=True)).decode()
    inputs = read_inputs(ReportParams.model_validate(made.params), {})
    found["empty"] = to_html(build_report(inputs, partial=True)).decode()
    return found


NAMES = ("quickstart", "looks", "offline", "partial", "empty")


@pytest.mark.parametrize("name", NAMES)
def test_it_is_well_formed_and_needs_nothing_from_outside(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    links = [value for key, value in page.attributes if key in {"href", "src", "xlink:href"} and value]
    assert links and all(link.startswith("#") for link in links)
    assert "@import" not in pages[name] and not re.search(r"url\((?!#)", pages[name])
    assert page.tags["script"] == 0


@pytest.mark.parametrize("name", NAMES)
def test_ids_are_unique_and_links_lead_somewhere(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    ids = Counter(value for key, value in page.attributes if key == "id")
    assert max(ids.values()) == 1
    targets = {value[1:] for key, value in page.attributes if key.endswith("href") and value}
    labels = {one for key, value in page.attributes if key == "aria-labelledby" and value for one in value.split()}
    assert (targets | labels) <= set(ids)


@pytest.mark.parametrize("name", NAMES)
def test_tables_have_captions_and_figures_have_titles(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert page.tags["caption"] == page.tags["table"] >= 3
    assert page.tags["svg"] == page.tags["desc"] == page.tags["title"] - 1


def test_the_verdict_comes_first(pages: dict[str, str]) -> None:
    text = re.sub(r"<span class=\"nb\">|</span>", "", pages["quickstart"])
    body = text[text.index("<main>") :]
    first = body[: body.index('id="arms"')]
    assert "SFT suffices and is better: rlaif-weak scores" in first and "scope: checkpoints" in first


def test_every_arm_contrast_stage_and_version_is_shown(pages: dict[str, str], tmp_path: Path) -> None:
    made = experiment(tmp_path)
    keys = [key for key in made.plan.stages if key != made.plan.report]
    assert all(key in pages["quickstart"] for key in keys)
    for said in ("rlaif-strong", "vanishing", "worker-1", "2026-11-23 18:0", "1.16.0", "Whole experiment"):
        assert said in pages["quickstart"]


def test_what_models_wrote_is_text_and_never_markup(pages: dict[str, str]) -> None:
    assert "&lt;em&gt;&amp;&lt;/em&gt;" in pages["quickstart"]
    assert "<em>" not in pages["quickstart"]


def test_figures_take_the_pages_colours(pages: dict[str, str]) -> None:
    figures = "".join(re.findall(r"<svg.*?</svg>", pages["quickstart"], flags=re.S))
    assert "var(--accent)" in figures and "var(--series-3)" in figures
    assert not re.search(r"(?:fill|stroke): #", figures), "a colour of its own is unreadable in one of light and dark"


def test_a_partial_page_says_so_and_shows_what_is_pending(pages: dict[str, str]) -> None:
    assert "Partial: the experiment is not finished, 9 of 18" in pages["partial"]
    assert 'class="pending"' in pages["partial"]
    assert "Partial:" not in pages["quickstart"]


def test_the_deciding_interval_is_shown_where_looks_were_declared(pages: dict[str, str]) -> None:
    assert "Deciding interval" in pages["looks"] and "Deciding interval" not in pages["quickstart"]
    assert "98.33% interval" in pages["looks"]


def test_a_stand_in_names_the_line_of_the_spec_that_would_change_it(pages: dict[str, str]) -> None:
    found = re.search(r'href="#spec-(\d+)">Spec, line \1: <code>evaluations\.win-rate\.judge</code>', pages["offline"])
    assert found
    line = re.search(rf'id="spec-{found[1]}">(.*?)\n', pages["offline"])
    assert line and "judge: similarity" in line[1]


def test_lines_are_found_by_path_and_fall_back_to_what_is_there() -> None:
    text = spec_yaml({"a": {"b": {"c": 1}}, "d": [1]})
    assert text.splitlines()[line_of(text, ("d",)) - 1].startswith("d:")  # type: ignore[operator]
    assert line_of(text, ("a", "b", "not-there")) == line_of(text, ("a", "b"))
    assert line_of(text, ("nowhere",)) is None


def test_names_with_hyphens_are_not_broken_and_still_escaped() -> None:
    assert unbroken("of sft-strong, 2") == 'of <span class="nb">sft-strong</span>, 2'
    assert unbroken("<a-b> & c") == '&lt;<span class="nb">a-b</span>&gt; &amp; c'


def test_long_texts_are_cut_and_say_by_how_much() -> None:
    assert clip("x" * 6_000) == "x" * 6_000
    assert clip("x" * 7_500).endswith(" … (1,500 more characters)")


def test_no_page_is_wider_than_its_window(pages: dict[str, str], tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=browser, args=["--no-sandbox", "--disable-gpu"])
        page = chromium.new_page()
        for name in NAMES:
            (tmp_path / f"{name}.html").write_text(pages[name])
            page.goto(f"file://{tmp_path}/{name}.html")
            for width in (380, 1600):
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("document.documentElement.scrollWidth") <= width, name
                drawn = "[...document.querySelectorAll('.forest svg')].filter(s => s.getBoundingClientRect().width)"
                assert page.evaluate(f"{drawn}.length") == (0 if name == "empty" else 1)
        chromium.close()
