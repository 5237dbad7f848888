"""From a stranger to a cent on the dashboard, as a person does it."""

import re
from decimal import Decimal
from uuid import uuid4

import httpx
from playwright.async_api import expect

from tests.browser.conftest import Open
from tests.house import Process, chat

MODEL = "dear@fake"


async def test_a_stranger_signs_up_makes_a_key_and_finds_the_cent_in_the_ledger(
    committed: None, gateway: Process, worker: Process, open_page: Open
) -> None:
    page = await open_page()
    name = f"Kestrel {uuid4().hex[:8]}"

    await page.goto("/")
    await page.get_by_role("link", name="Create an account", exact=True).click()
    await page.get_by_label("Your name").fill("Kim")
    await page.get_by_label("Email").fill(f"{uuid4().hex}@example.com")
    await page.get_by_label("Password").fill("a long enough password")
    await page.get_by_role("button", name="Create account").click()
    await page.get_by_label("Name").fill(name)
    await page.get_by_role("button", name="Create organization").click()
    await page.get_by_role("button", name="Create key").click()
    key = (await page.locator("#secret").inner_text()).strip()
    await expect(page.locator("#panel-curl")).to_contain_text(key)
    await page.get_by_role("tab", name="Python").click()
    await expect(page.locator("#panel-python")).to_contain_text(key)

    await _send(gateway, key)
    await expect(page.locator("#first-request-text")).to_have_text(
        re.compile(r"First request received: \d+ tokens, \$0\.\d+")
    )
    told = await page.locator("#first-request-text").inner_text()

    await page.get_by_role("link", name="Look at it").click()
    charged = await page.locator(".facts dd strong").inner_text()
    assert Decimal(charged.removeprefix("$")) > 0
    assert told.rsplit("$", 1)[1] in charged
    await page.get_by_role("link", name="Ledger entry").click()
    await expect(page.locator("#main")).to_contain_text(f"-{charged}")

    await page.get_by_role("link", name="Overview").first.click()
    spend = page.locator(".tile").first.locator("a")
    await expect(spend).to_have_attribute("title", charged)
    await spend.click()
    await expect(page.get_by_role("heading", name="Ledger")).to_be_visible()
    await expect(page.locator("tbody tr")).to_have_count(1)
    await expect(page.locator("tfoot data")).to_have_attribute("title", f"-{charged}")


async def _send(gateway: Process, key: str) -> None:
    """One streamed request, read to its end."""
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        answer = await client.post(
            "/v1/chat/completions",
            json=chat(MODEL, stream=True),
            headers={"authorization": f"Bearer {key}"},
        )
    assert answer.status_code == 200, answer.text
    assert answer.text.rstrip().endswith("data: [DONE]")
