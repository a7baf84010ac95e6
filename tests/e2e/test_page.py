"""The page in a real browser: from the form to the verdict, on a phone and a wide screen, light and dark, by keyboard.

Screenshots are kept in `reports/page` (ignored by git; CI keeps them as an artifact).
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from touchstone_client import Client

from shared import records
from shared.experiments import write_control
from tests.e2e.looking import CHROMIUM, CONTRAST, EVERYTHING, NAMELESS, Told
from tests.stack import ROOT, Stack
from tests.unit.specs import spec_with

SHOTS = ROOT / "reports" / "page"
SIZES = {"phone": (380, 800), "wide": (1600, 1000)}
SCHEMES = ("light", pytest.param("dark", marks=pytest.mark.slow))
WIDTHS = ("phone", pytest.param("wide", marks=pytest.mark.slow))
EVERYBODY = {
    "also_judge": ["base", "teachers"],
    "null_completions": True,
    "evaluations__win-rate__best_on_dev": True,
    "evaluations__level": {"protocol": "length_controlled", "judge": "critic", "reference": "weak", "temperature": 0.7},
}
"""Who may be judged, and how: so that every part of the page is there."""
BANDIT = {"name": "mechanism", "kind": "bandit", "bandit": {"steps": 1500, "rate": 0.05}}
QUEUES = ("teacher", "critic", "inference", "trainer")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A stack whose workers simulate the world, with a real analyst, and an experiment that has come to its report."""
    stack = Stack(tmp_path_factory.mktemp("page"))
    try:
        stack.start_servers()
        start_all(stack)
        with Client(stack.api_url) as client:
            id = client.submit(spec_with(name="finished", prompts__eval=120, **EVERYBODY))["id"]
            for _ in client.events(id):
                pass
            assert client.get(id)["state"] == "succeeded"
        yield stack, id
    finally:
        stack.stop()


def start_all(stack: Stack, seconds: float = 0.2) -> None:
    """Everything but torch: conductor, API, analyst, and workers that simulate the world."""
    for name in ("conductor", "api", "analyst"):
        stack.start(name)
    for queue in QUEUES:
        stack.start(queue, ["-m", "tests.stubs.world", queue, "2"], STUB_SECONDS=str(seconds))
    stack.wait_ready("api", 90)


@pytest.fixture
def page(browser: Browser, finished: tuple[Stack, str]) -> Iterator[Page]:
    """A fresh browser profile; at the end nothing was complained of and no other host was asked."""
    with browser.new_context(viewport={"width": 1200, "height": 900}) as context:
        told = Told(context, finished[0].api_url)
        yield context.new_page()
        assert (told.complaints, told.foreign) == ([], [])


def shoot(page: Page, name: str) -> None:
    """Keep a picture of the whole page."""
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / f"{name}.png", full_page=True)


@pytest.mark.timeout(600)
def test_from_the_form_to_the_verdict_and_its_samples(finished: tuple[Stack, str], page: Page) -> None:
    stack, _ = finished
    page.goto(f"{stack.api_url}/new")
    # What the server wrote first is what the form writes of its own first values.
    written = page.locator("#spec").input_value()
    page.get_by_label("Name", exact=True).fill("by-hand")
    expect(page.locator("#spec")).not_to_have_value(written)
    page.get_by_label("Name", exact=True).fill("my-experiment")
    expect(page.locator("#spec")).to_have_value(written)
    page.get_by_label("Name", exact=True).fill("by-hand")
    page.get_by_label("to train on").fill("60")
    page.get_by_label("to tune on").fill("10")
    page.get_by_label("to judge on").fill("120")
    page.get_by_label("Judged at temperatures").fill("0.7, 0")
    # Price and power come from the real plan, and curl says the same as the text.
    expect(page.locator("#plan")).to_contain_text("requests", timeout=60_000)
    expect(page.locator("#power")).to_contain_text("With 120 prompts and 1 run of each arm", timeout=60_000)
    expect(page.locator("#power .warn")).to_contain_text("A difference of 2 points is out of reach")
    expect(page.locator("#spec")).to_have_value(
        "name: by-hand\nseeds: [0]\nprompts: {source: {world: {seed: 0}}, train: 60, dev: 10, eval: 120}\n"
        + page.locator("#spec").input_value().split("\n", 3)[3]
    )
    assert page.locator("#spec").input_value().rstrip() in (page.locator("#curl").text_content() or "")
    page.get_by_label("Judged at temperatures").fill("warm")
    expect(page.locator("#price .errors")).to_be_visible(timeout=30_000)
    page.get_by_label("Judged at temperatures").fill("0.7, 0")
    expect(page.locator("#price .errors")).to_have_count(0, timeout=30_000)
    shoot(page, "form")
    page.get_by_role("button", name="Start").click()

    page.wait_for_url(f"{stack.api_url}/experiments/*")
    expect(page.get_by_role("heading", name="by-hand", level=1)).to_be_visible()
    expect(page.locator("#queues [data-queue=trainer] [data-field=workers]")).to_have_text("1", timeout=60_000)
    expect(page.locator(".graph .node[data-state=committed]").first).to_be_attached(timeout=60_000)
    shoot(page, "running")
    expect(page.locator("#state")).to_have_text("succeeded", timeout=240_000)

    verdict = page.locator(".verdict")
    expect(verdict.locator(".level")).to_have_text("SFT suffices", timeout=30_000)
    expect(verdict.locator("svg.interval")).to_be_visible()
    expect(page.locator("#verdict")).to_contain_text("device-hours")
    expect(verdict.locator(".standin")).to_contain_text("says nothing about language models")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    with page.expect_download() as download:
        page.get_by_role("link", name="report.json").click()
    assert '"verdict"' in Path(download.value.path()).read_text()

    page.get_by_role("link", name="Read two arms' answers side by side").click()
    expect(page.locator("#found")).to_contain_text("120 prompts, 1 to 10 shown")
    page.get_by_role("link", name="Next").click()
    expect(page.locator("#found")).to_contain_text("11 to 20 shown")
    page.get_by_label("Who won").select_option("b")
    expect(page.locator("#found")).not_to_contain_text("120 prompts")
    won = page.locator(".sample .card:nth-child(2).won")
    expect(won).to_have_count(page.locator(".sample").count())
    prompt = page.locator("blockquote").first.text_content() or ""
    page.get_by_label("Who won").select_option("")
    page.get_by_label("Category").select_option("sort")
    expect(page.locator("#found")).not_to_contain_text("120 prompts")
    for text in page.locator("blockquote").all_text_contents():
        assert text.startswith(("Sort these numbers", "Order from small to large")), text
    with page.expect_download() as download:
        page.get_by_role("link", name="all of them as Parquet").click()
    table = records.read(Path(download.value.path()).read_bytes())
    assert set(table["category"].to_pylist()) == {"sort"}
    page.get_by_label("Category").select_option("")
    expect(page.locator("#found")).to_contain_text("120 prompts")
    page.get_by_label("Prompt has").fill(prompt[:12].upper())
    page.get_by_role("button", name="Show").click()
    expect(page.locator("blockquote").first).to_contain_text(prompt[:12])
    shoot(page, "samples")


def test_the_list_filters_searches_and_compares_two(finished: tuple[Stack, str], page: Page) -> None:
    stack, id = finished
    with Client(stack.api_url) as client:
        other = client.submit(spec_with(name="Another one", prompts__eval=30, worth__points=5))["id"]
    page.goto(stack.api_url)
    expect(page.locator("tr[data-id]")).not_to_have_count(0)
    expect(page.locator(f"tr[data-id='{id}'] .level")).to_have_text("SFT suffices")
    shoot(page, "list")
    page.get_by_label("Name or id").fill("another")
    page.get_by_role("button", name="Filter").click()
    expect(page.locator("tr[data-id]")).to_have_count(1)
    page.goto(stack.api_url)
    page.locator(f"tr[data-id='{id}'] input").check()
    page.locator(f"tr[data-id='{other}'] input").check()
    page.get_by_role("button", name="Compare the two chosen").click()
    expect(page).to_have_url(f"{stack.api_url}/compare?a={other}&b={id}")
    expect(page.locator("section[aria-labelledby=spec-title]")).to_contain_text("worth.points")
    shoot(page, "compare")


def test_one_is_cancelled_and_resumed_by_its_buttons(finished: tuple[Stack, str], page: Page) -> None:
    stack, _ = finished
    with Client(stack.api_url) as client:
        id = client.submit(spec_with(name="to-be-stopped", seeds=[0, 1, 2, 3], prompts__eval=31))["id"]
        page.goto(f"{stack.api_url}/?experiment={id}")
        expect(page).to_have_url(f"{stack.api_url}/experiments/{id}")
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#state")).to_have_text("cancelled", timeout=30_000)
        page.get_by_role("button", name="Resume").click()
        expect(page.get_by_role("button", name="Cancel")).to_be_visible(timeout=30_000)
        client.cancel(id)
        expect(page.locator("#state")).to_have_text("cancelled", timeout=30_000)


def test_a_failure_shows_its_error_as_text(finished: tuple[Stack, str], page: Page) -> None:
    stack, _ = finished
    with Client(stack.api_url) as client:
        id = client.submit(spec_with(name="failing", seeds=[7, 8, 9], prompts__eval=32))["id"]
        page.goto(f"{stack.api_url}/experiments/{id}")
        expect(page.locator(".stage").first).to_be_attached(timeout=20_000)
        stages = client.get(id)["stages"]
        key = next(stage["key"] for stage in stages if stage["kind"] == "rl")
        error = "<img src=x onerror=alert(1)> no memory"
        write_control(stack.store, stack.redis, id, "failure", 0, key=key, error=error)
        expect(page.locator(".troubles .error")).to_have_text(error, timeout=30_000)
        client.cancel(id)
    assert page.locator(".troubles img").count() == 0


def test_samples_figures_and_tables_over_the_api(finished: tuple[Stack, str]) -> None:
    stack, id = finished
    with httpx.Client(base_url=f"{stack.api_url}/v1", timeout=30) as http:
        rows: list[Any] = []
        cursor: str | None = ""
        while cursor is not None:
            told = http.get(f"/experiments/{id}/samples", params={"limit": 50, "cursor": cursor}).json()
            rows, cursor = rows + told["items"], told["next_cursor"]
        assert len({row["prompt_id"] for row in rows}) == len(rows) == told["total"] == 120
        assert (rows[0]["a"]["arm"], rows[0]["b"]["arm"]) == ("rlaif-weak", "sft-strong")
        won = http.get(f"/experiments/{id}/samples", params={"winner": "a", "limit": 500}).json()["items"]
        assert [row for row in rows if row["winner"] == "a"] == won
        assert all(row["a"]["score"] > row["b"]["score"] for row in won) and len(won) == told["counts"]["a"]
        word = rows[7]["prompt"].split()[-2]
        found = http.get(f"/experiments/{id}/samples", params={"filter": word.upper(), "limit": 500}).json()["items"]
        assert [row for row in rows if word in row["prompt"]] == found
        for wrong in ({"arm_a": "nobody"}, {"evaluation": "none"}, {"seed": 9}, {"cursor": "x"}, {"winner": "c"}):
            assert http.get(f"/experiments/{id}/samples", params=wrong).status_code == 422, wrong
        assert http.get("/experiments/nowhere/samples").status_code == 404
        figures = http.get(f"/experiments/{id}/figures").json()["items"]
        assert any(one["name"] == "forest-wide" for one in figures)
        drawn = http.get(f"/experiments/{id}/figures/{figures[0]['name']}.svg")
        assert drawn.headers["content-type"] == "image/svg+xml" and drawn.content.startswith(b"<svg ")
        drawn = http.get(f"/experiments/{id}/figures/{figures[0]['name']}.png")
        assert drawn.headers["content-type"] == "image/png" and drawn.content.startswith(b"\x89PNG")
        judged = next(one for one in http.get(f"/experiments/{id}").json()["stages"] if one["kind"] == "judge")
        table = records.read(http.get(f"/stages/{judged['key']}/rows").content, records.JUDGEMENTS)
        assert table.num_rows == 120
        assert http.get(f"/stages/{'0' * 64}/rows").status_code == 404


def test_a_model_is_followed_back_to_its_prompts_and_on_to_its_judgements(
    finished: tuple[Stack, str], page: Page
) -> None:
    stack, id = finished
    page.goto(f"{stack.api_url}/experiments/{id}")
    page.get_by_role("link", name="What rlaif-weak was made from").click()
    expect(page.get_by_role("heading", name="RL step", level=1)).to_be_visible()
    focus = page.locator(".graph .node.focus")
    expect(focus).to_have_attribute("aria-current", "true")
    from_these = page.locator("section[aria-labelledby=from-title]")
    for name in ("Choose prompts", "Make a base model", "Teacher answers", "Fine-tune (SFT)", "Critic labels pairs"):
        expect(from_these.get_by_role("link", name=name)).to_be_visible()
    expect(page.locator("section[aria-labelledby=into-title]")).to_contain_text("Judge compares")
    expect(page.locator("section[aria-labelledby=sources-title]")).to_contain_text("accuracy=0.5")
    shoot(page, "lineage")
    key = page.url.rsplit("/", 1)[-1]
    told = httpx.get(f"{stack.api_url}/v1/experiments/{id}/stages/{key}", timeout=30).json()
    assert told["stage"]["key"] == key and told["stage"]["made"]["host"]
    read = {one["key"]: one["made"]["sha256"] for one in told["made_from"]}
    assert all(read[one["key"]] == one["sha256"] for one in told["stage"]["made"]["inputs"].values())
    from_these.get_by_role("link", name="Critic labels pairs").click()
    expect(page.get_by_role("heading", name="Critic labels pairs", level=1)).to_be_visible()
    assert httpx.get(f"{stack.api_url}/v1/experiments/{id}/stages/{'0' * 64}", timeout=30).status_code == 404


def test_everything_can_be_taken_away_as_one_zip(finished: tuple[Stack, str], page: Page) -> None:
    stack, id = finished
    page.goto(f"{stack.api_url}/experiments/{id}")
    with page.expect_download() as download:
        page.get_by_role("link", name="Everything as one zip").click()
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {"spec.yaml", "report.json", "report.html", "figures/forest-wide.svg", "figures/forest-wide.png"} <= set(
        names
    )
    with Client(stack.api_url) as client:
        stages = client.get(id)["stages"]
    assert sum(name.endswith(".commit.json") for name in names) == len(stages)
    assert sum(name.startswith("stages/judge-") and name.endswith(".parquet") for name in names) == sum(
        stage["kind"] == "judge" for stage in stages
    )


def bandit(stack: Stack) -> str:
    """The id of a bandit that has come to its report."""
    with Client(stack.api_url) as client:
        id: str = client.submit(BANDIT)["id"]
        for _ in client.events(id):
            pass
        assert client.get(id)["state"] == "succeeded"
        return id


def test_a_bandit_runs_and_shows_its_mechanism(finished: tuple[Stack, str], page: Page) -> None:
    stack, _ = finished
    with Client(stack.api_url) as client:
        assert client.plan(BANDIT)["power"] is None
        id = bandit(stack)
        report = client.report(id)
        assert report is not None and report["verdict"]["level"] == "inconclusive"
    page.goto(f"{stack.api_url}/experiments/{id}")
    expect(page.locator(".verdict .level")).to_have_text("A mechanism")
    expect(page.locator("main")).not_to_contain_text("– to –")
    expect(page.locator(".figures img")).to_have_count(1)
    expect(page.get_by_role("heading", name="Samples")).to_have_count(0)


@pytest.mark.slow
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", SIZES)
def test_a_bandits_page_says_what_it_shows_on_its_first_screen_and_can_be_read_by_all(
    finished: tuple[Stack, str], browser: Browser, size: str, scheme: str
) -> None:
    stack, _ = finished
    page = looked_at(browser, size, scheme)
    page.goto(f"{stack.api_url}/experiments/{bandit(stack)}")
    width, height = SIZES[size]
    said = page.locator(".verdict .answer").bounding_box()
    assert said is not None and said["y"] + said["height"] <= height
    page.evaluate(EVERYTHING)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    ratio, words = page.evaluate(CONTRAST)
    assert ratio >= 4.5, f"{words!r} has a contrast of {ratio:.2f}"
    assert page.evaluate(NAMELESS) == []
    shoot(page, f"bandit-{size}-{scheme}")
    assert serious(page) == []
    page.context.close()


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", WIDTHS)
def test_every_page_fits_and_can_be_read(finished: tuple[Stack, str], browser: Browser, size: str, scheme: str) -> None:
    stack, _ = finished
    width, height = SIZES[size]
    with browser.new_context(
        viewport={"width": width, "height": height}, color_scheme="dark" if scheme == "dark" else "light"
    ) as context:
        told = Told(context, stack.api_url)
        page = context.new_page()
        for name, path in pages(finished).items():
            page.goto(stack.api_url + path)
            page.evaluate(EVERYTHING)
            assert page.evaluate("document.documentElement.scrollWidth") == width, name
            ratio, words = page.evaluate(CONTRAST)
            assert ratio >= 4.5, f"{name}: {words!r} has a contrast of {ratio:.2f}"
            shoot(page, f"{name}-{size}-{scheme}")
        red = page.evaluate("Number(getComputedStyle(document.body).backgroundColor.match(/[0-9]+/)[0])")
        assert (red < 128) == (scheme == "dark")
        assert (told.complaints, told.foreign) == ([], [])


def pages(finished: tuple[Stack, str]) -> dict[str, str]:
    stack, id = finished
    with Client(stack.api_url) as client:
        key = next(stage["key"] for stage in client.get(id)["stages"] if stage["kind"] == "rl")
    return {
        "lineage": f"/experiments/{id}/stages/{key}",
        "list": "/",
        "experiment": f"/experiments/{id}",
        "samples": f"/experiments/{id}/samples",
        "compare": f"/compare?a={id}&b={id}",
        "new": "/new",
        "missing": "/experiments/nowhere",
    }


def test_it_can_be_used_by_keyboard(finished: tuple[Stack, str], page: Page) -> None:
    stack, _ = finished
    page.goto(stack.api_url)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="To the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New experiment")).to_be_focused()
    # Every control says what it is.
    for path in pages(finished).values():
        page.goto(stack.api_url + path)
        assert page.evaluate(NAMELESS) == [], path
        assert page.locator("h1").count() == 1, path


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("size", WIDTHS)
def test_axe_has_no_serious_findings(finished: tuple[Stack, str], browser: Browser, size: str, scheme: str) -> None:
    stack, _ = finished
    page = looked_at(browser, size, scheme)
    for name, path in pages(finished).items():
        page.goto(stack.api_url + path)
        page.evaluate(EVERYTHING)
        assert serious(page) == [], name
    page.context.close()


def looked_at(browser: Browser, size: str, scheme: str) -> Page:
    """A page of this size into which axe may be put, which the page's own policy forbids."""
    width, height = SIZES[size]
    return browser.new_context(
        viewport={"width": width, "height": height},
        bypass_csp=True,
        color_scheme="dark" if scheme == "dark" else "light",
    ).new_page()


def serious(page: Page) -> list[tuple[str, list[str]]]:
    """What axe finds that keeps somebody from using the page."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")
    found = axe.Axe().run(page).response["violations"]
    return [
        (one["id"], [node["html"] for node in one["nodes"]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
