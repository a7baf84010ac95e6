"""Voting in a real browser: keys, a reload in the middle, a phone, light and dark, and what the page then says."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from touchstone_client import Client

from tests.e2e.looking import CHROMIUM, CONTRAST, EVERYTHING, NAMELESS, Told
from tests.e2e.test_page import SCHEMES, SIZES, WIDTHS, shoot
from tests.integration.api.test_human import ARMS, finished
from tests.stack import Stack
from tests.waiting import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")]

__all__ = ["finished"]


@pytest.fixture
def page(browser: Browser, finished: tuple[Stack, str]) -> Iterator[Page]:
    """A fresh browser profile; at the end nothing was complained of and no other host was asked."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        told = Told(context, finished[0].api_url)
        yield context.new_page()
        assert (told.complaints, told.foreign) == ([], [])


def begin(page: Page, stack: Stack, id: str, name: str, query: str = "n=5") -> None:
    page.goto(f"{stack.api_url}/experiments/{id}/vote?{query}")
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Begin").click()
    expect(page.get_by_role("heading", name="Pair 1 of 5")).to_be_visible(timeout=30_000)


def kept(stack: Stack, id: str) -> dict[str, int]:
    with Client(stack.api_url) as client:
        found: dict[str, int] = client.human(id)["raters"]
    return found


def test_pairs_are_voted_on_by_keys_and_a_reload_loses_nothing(finished: tuple[Stack, str], page: Page) -> None:
    stack, id = finished
    begin(page, stack, id, "Ann")
    # Nothing on the page or in what it was sent names an arm.
    assert not any(word in page.content() for word in ARMS)
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="Pair 2 of 5")).to_be_focused()
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Pair 3 of 5")).to_be_visible()
    page.keyboard.press("0")
    expect(page.locator("#said")).to_have_text("2 voted, 1 skipped")
    assert kept(stack, id) == {"Ann": 2}

    page.reload()
    # The name is remembered, the votes are the server's, and the first pair without one is shown.
    expect(page.get_by_role("heading", name="Pair 2 of 5")).to_be_visible(timeout=30_000)
    expect(page.locator("#said")).to_have_text("2 voted")
    page.keyboard.press("b")
    expect(page.locator("[data-vote=left]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-vote=right]").click()
    for place in (2, 4, 5):
        expect(page.get_by_role("heading", name=f"Pair {place} of 5")).to_be_visible()
        page.keyboard.press("2")
    expect(page.get_by_role("heading", name="That was the last one")).to_be_focused()
    expect(page.locator("#left-out")).to_have_text("5 of 5 pairs voted on.")
    assert kept(stack, id) == {"Ann": 5}, "a changed vote counts once"


def test_the_experiments_page_says_what_people_say(finished: tuple[Stack, str], page: Page) -> None:
    stack, id = finished
    begin(page, stack, id, "Bob")
    for place in range(1, 6):
        expect(page.get_by_role("heading", name=f"Pair {place} of 5")).to_be_visible()
        page.keyboard.press("1")
    expect(page.get_by_role("heading", name="That was the last one")).to_be_visible()
    page.get_by_role("link", name="See what they say").click()
    expect(page.get_by_role("heading", name="How far can the judge be trusted?")).to_be_visible()

    def included() -> bool:
        page.reload()
        return "Bob and the judge" in page.content()

    wait_until(included, 60, "the report with all votes")
    expect(page.get_by_role("link", name="Vote on pairs of answers")).to_be_visible()
    shoot(page, "trust")


def test_when_the_server_does_not_take_a_vote_it_says_so_and_stays(finished: tuple[Stack, str], page: Page) -> None:
    stack, id = finished
    begin(page, stack, id, "Cy")
    page.route("**/human/votes", lambda route: route.fulfill(status=413, json={"detail": "it is full"}))
    page.keyboard.press("1")
    expect(page.get_by_role("alert")).to_have_text("it is full")
    expect(page.get_by_role("heading", name="Pair 1 of 5")).to_be_visible()
    page.unroute("**/human/votes")
    page.keyboard.press("1")
    expect(page.get_by_role("heading", name="Pair 2 of 5")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", WIDTHS)
def test_it_fits_and_can_be_read(finished: tuple[Stack, str], browser: Browser, size: str, scheme: str) -> None:
    stack, id = finished
    width, height = SIZES[size]
    with browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    ) as context:
        told = Told(context, stack.api_url)
        page = context.new_page()
        begin(page, stack, id, f"Di on {size} {scheme}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for vote in ("left", "tie", "right"):
            expect(page.locator(f"[data-vote={vote}]")).to_be_in_viewport()
        assert page.evaluate(NAMELESS) == []
        shoot(page, f"vote-{size}-{scheme}")
        page.evaluate(EVERYTHING)
        ratio, words = page.evaluate(CONTRAST)
        assert ratio >= 4.5, f"{words!r} has a contrast of {ratio:.2f}"
        page.goto(f"{stack.api_url}/experiments/{id}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        shoot(page, f"trust-{size}-{scheme}")
        assert (told.complaints, told.foreign) == ([], [])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_has_no_serious_findings(finished: tuple[Stack, str], browser: Browser, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    stack, id = finished
    with browser.new_context(bypass_csp=True, color_scheme="dark" if scheme == "dark" else "light") as context:
        page = context.new_page()
        for step in ("name", "ballot", "thanks", "experiment"):
            if step == "name":
                page.goto(f"{stack.api_url}/experiments/{id}/vote?n=1")
            elif step == "ballot":
                page.get_by_label("Your name").fill(f"Eve in the {scheme}")
                page.get_by_role("button", name="Begin").click()
                expect(page.get_by_role("heading", name="Pair 1 of 1")).to_be_visible(timeout=30_000)
            elif step == "thanks":
                page.keyboard.press("0")
                expect(page.get_by_role("heading", name="That was the last one")).to_be_visible()
            else:
                page.goto(f"{stack.api_url}/experiments/{id}")
            page.evaluate(EVERYTHING)
            found = axe.Axe().run(page).response["violations"]
            bad = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found
                   if one["impact"] in {"serious", "critical"}]  # fmt: skip
            assert bad == [], step
