"""The page of a server that has nothing yet, and of one that asks for a token."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect
from touchstone_client import Client

from tests.e2e.looking import CHROMIUM
from tests.stack import Stack
from tests.unit.specs import spec_with

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on PATH")]


def test_without_experiments_it_says_how_to_start_one(stack: Stack, browser: Browser) -> None:
    stack.start("conductor")
    stack.start("api")
    stack.wait_ready("api", 90)
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(stack.api_url)
        expect(page.get_by_text("touchstone submit examples/quickstart.yaml")).to_be_visible()


def test_behind_a_token(stack: Stack, browser: Browser) -> None:
    stack.start("conductor")
    stack.start("api", TOUCHSTONE_API_TOKENS="a-secret-token")
    stack.wait_ready("api", 90)
    with Client(stack.api_url, "a-secret-token") as client:
        id = client.submit(spec_with(name="secret-one"))["id"]
        with browser.new_context() as context:
            page = context.new_page()
            page.goto(f"{stack.api_url}/experiments/{id}")
            assert "secret-one" not in page.content()
            page.get_by_label("Token").fill("guess")
            page.get_by_role("button", name="Open").click()
            expect(page.get_by_role("alert")).to_be_visible()
            page.get_by_label("Token").fill("a-secret-token")
            page.get_by_role("button", name="Open").click()
            # Back to where one wanted to go; the event stream opens with the cookie alone.
            expect(page.get_by_role("heading", name="secret-one")).to_be_visible()
            expect(page.locator(".stage").first).to_be_attached(timeout=20_000)
            # A form without the page's own proof changes nothing, even with the cookie.
            forged = context.request.post(f"{stack.api_url}/experiments/{id}/cancel", form={"form": "guess"})
            assert forged.status == 403
            assert context.request.post(f"{stack.api_url}/v1/experiments/{id}/cancel").status == 401
            assert client.get(id)["state"] == "running"
            page.on("dialog", lambda dialog: dialog.accept())
            page.get_by_role("button", name="Cancel").click()
            expect(page.locator("#state")).to_have_text("cancelled", timeout=30_000)
            # So does the form's live price.
            page.goto(f"{stack.api_url}/new")
            expect(page.locator("#plan")).to_contain_text("requests", timeout=30_000)
            page.get_by_role("button", name="Forget the token").click()
            expect(page.get_by_label("Token")).to_be_visible()
