"""Credit is bought in a browser: from the empty page over the test processor's checkout to the ledger."""

from decimal import Decimal

import pytest
from playwright.async_api import Page, expect

from billing.models import ProcessorEvent
from billing.selectors import balance_usd
from tests.browser.conftest import NARROW, WIDE, Open
from tests.browser.test_pages import AXE, RUN_AXE
from tests.house import Process, Team, apart, eventually


@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_credit_is_added_and_a_declined_card_is_not(
    team: Team, gateway: Process, worker: Process, open_page: Open, viewport: dict[str, int]
) -> None:
    page = await open_page(team, viewport=viewport)
    problems: list[str] = []
    await page.goto(f"/o/{team.organization.slug}/ledger/")
    await page.get_by_role("link", name="Add credit").click()
    problems += await _problems(page)

    await page.get_by_label("Credit in US dollars").fill("25.50")
    await page.get_by_label("Keep the card for automatic refill").check()
    await page.get_by_role("button", name="Add credit").click()
    await expect(page.get_by_role("heading", name="Pay $25.50")).to_be_visible()
    problems += await _problems(page)
    await page.get_by_label("Is declined", exact=True).check()
    await page.get_by_role("button", name="Pay $25.50").click()
    await expect(page.get_by_role("alert")).to_contain_text("was declined")
    await page.get_by_label("Asks its bank's confirmation").check()
    await page.get_by_role("button", name="Pay $25.50").click()
    problems += await _problems(page)
    await page.get_by_role("button", name="Yes, it is me").click()

    await expect(page.get_by_text("$25.50 of credit was added. Left: $125.50.")).to_be_visible()
    problems += await _problems(page)
    await page.get_by_role("link", name="Back to billing").click()
    await expect(page.locator(".tile").nth(1)).to_contain_text("Test card")
    await page.get_by_role("button", name="Switch on").click()
    await expect(page.get_by_text("Automatic refill is on.")).to_be_visible()
    problems += await _problems(page)
    assert not problems, "\n".join(problems)

    # The worker has brought the processor's webhook to the door as well, and it changed nothing.
    news = ProcessorEvent.objects.filter(payment__organization=team.organization, type="payment.paid")
    await apart(lambda: eventually(news.exists, "the webhook"))
    assert await apart(lambda: balance_usd(team.organization)) == Decimal("125.50")


async def _problems(page: Page) -> list[str]:
    """What axe finds on the open page, and whether it scrolls sideways."""
    await page.evaluate(AXE.read_text())
    results = await page.evaluate(RUN_AXE)
    found = [
        f"{page.url}: {violation['id']} at {node['html'][:200]}: {node['failureSummary']}"
        for violation in results["violations"]
        for node in violation["nodes"]
    ]
    if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
        found.append(f"{page.url}: wider than the window")
    return found
