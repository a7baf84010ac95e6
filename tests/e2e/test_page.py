"""The first page in a real browser: readable on a phone and a wide screen, light and dark, live, and behind a token."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from touchstone_client import Client

from shared.experiments import read_summary, write_control
from shared.kinds import QUEUES
from tests.stack import Stack
from tests.unit.specs import spec_with

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SIZES = [(380, 800), (1600, 900)]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        yield started
        started.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the page's console said of errors; must stay empty."""
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Iterator[Page]:
    """A fresh browser profile."""
    with browser.new_context() as context:
        opened = context.new_page()
        opened.on("pageerror", lambda error: complaints.append(str(error)))
        opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        yield opened


@pytest.fixture
def ready(stack: Stack) -> Stack:
    """Conductor and API."""
    stack.start("conductor")
    stack.start("api")
    stack.wait_ready("api")
    return stack


def start_workers(stack: Stack) -> None:
    for queue in QUEUES:
        stack.start(queue, ["-m", "tests.stubs.worker", queue, "2"], STUB_SECONDS="0.1")


def test_without_experiments_it_says_how_to_start_one(ready: Stack, page: Page, complaints: list[str]) -> None:
    page.goto(ready.api_url)
    expect(page.get_by_text("touchstone submit examples/quickstart.yaml")).to_be_visible()
    assert complaints == []


def test_it_follows_an_experiment_to_its_end(ready: Stack, page: Page, complaints: list[str]) -> None:
    with Client(ready.api_url) as client:
        id = client.submit(spec_with(name="live"))["id"]
        page.goto(ready.api_url)
        rows = page.locator("#stages tr")
        expect(page.locator("#state")).to_have_text("running")
        expect(rows.first).to_be_visible(timeout=20_000)
        start_workers(ready)
        expect(page.locator("#state")).to_have_text("succeeded", timeout=60_000)
        stages = client.get(id)["stages"]
    expect(rows).to_have_count(len(stages))
    assert set(rows.locator("td:nth-child(3) span").all_text_contents()) == {"committed"}
    expect(page.locator("#counts")).to_have_text(f"{len(stages)} of {len(stages)} stages, 0 reused")
    expect(page.locator(f"[data-state='{id}']")).to_have_text("succeeded")
    expect(page.locator("#report")).to_have_attribute("href", f"/v1/experiments/{id}/report")
    # Drawn on the server, it says the same.
    page.reload()
    expect(rows).to_have_count(len(stages))
    expect(page.locator("#state")).to_have_text("succeeded")
    assert complaints == []


def test_a_failure_shows_its_error_as_text(ready: Stack, page: Page, complaints: list[str]) -> None:
    with Client(ready.api_url) as client:
        id = client.submit(spec_with())["id"]
        page.goto(ready.api_url)
        expect(page.locator("#stages tr").first).to_be_visible(timeout=20_000)
        error = "<img src=x onerror=alert(1)> no memory"
        key = client.get(id)["stages"][0]["key"]
    write_control(ready.store, ready.redis, id, "failure", 0, key=key, error=error)
    expect(page.locator(f"[data-key='{key}'] .error")).to_have_text(error, timeout=20_000)
    assert page.locator("#stages img").count() == 0
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_it_fits_and_can_be_read(ready: Stack, browser: Browser, size: tuple[int, int], scheme: str) -> None:
    with Client(ready.api_url) as client:
        client.submit(spec_with(name="a-name-that-is-as-long-as-a-name-may-be-xxxxxxxxxxxxxxxxxxxxxx"))
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    with context:
        page = context.new_page()
        page.goto(ready.api_url)
        expect(page.locator("#stages tr").first).to_be_visible(timeout=20_000)
        assert page.evaluate("document.documentElement.scrollWidth") == size[0]
        assert page.evaluate(CONTRAST) >= 4.5
        red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
        assert (red < 128) == (scheme == "dark")


# The lowest contrast ratio (WCAG 2.1) of text in the page against its section's background.
CONTRAST = """() => {
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(v => v / 255)
      .map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ratios = [...document.querySelectorAll("section *")].filter(node => node.textContent.trim()).map(node => {
    const ink = light(getComputedStyle(node).color);
    const ground = light(getComputedStyle(node.closest("section")).backgroundColor);
    return (Math.max(ink, ground) + .05) / (Math.min(ink, ground) + .05);
  });
  return Math.min(...ratios);
}"""


def test_behind_a_token(stack: Stack, page: Page) -> None:
    stack.start("conductor")
    stack.start("api", TOUCHSTONE_API_TOKENS="a-secret-token")
    stack.wait_ready("api")
    with Client(stack.api_url, "a-secret-token") as client:
        id = client.submit(spec_with(name="hidden"))["id"]
    page.goto(stack.api_url)
    assert "hidden" not in page.content()
    page.get_by_label("Token").fill("guess")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Token").fill("a-secret-token")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_role("heading", name="hidden")).to_be_visible()
    # The event stream opens with the cookie alone.
    expect(page.locator("#stages tr").first).to_be_visible(timeout=20_000)
    summary = read_summary(stack.redis, stack.store, id)
    assert summary is not None and len(summary["stages"]) == page.locator("#stages tr").count()
    page.get_by_role("button", name="Forget the token").click()
    expect(page.get_by_label("Token")).to_be_visible()
