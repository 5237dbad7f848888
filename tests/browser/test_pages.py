"""How pages behave in a browser: accessible, at any width, in both themes, with and without scripts."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from django.db import transaction
from django.utils import timezone
from playwright.async_api import Page, expect

from billing.budget_services import BudgetTerms, create_budget
from billing.invoices import issue_documents
from billing.ledger import Transfer, TransferKind, charge_legs, post_transfers
from billing.models import Budget, Invoice, Payment, UsageEvent
from tests.billing.payment_cases import pay
from tests.billing.test_invoices import fee
from tests.browser.conftest import NARROW, WIDE, Open
from tests.house import Process, Team, apart, chat

AXE = Path(__file__).parent / "vendor" / "axe-4.14.1.min.js"
RUN_AXE = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']})"
LONG_NAME = "a-provider/a-model-with-a-name-that-nobody-can-remember-2026-11-21-preview"

PAGES = {
    "landing": "/",
    "sign in": "/accounts/login/",
    "sign up": "/accounts/signup/",
    "reset": "/accounts/password/reset/",
    "nowhere": "/nowhere/",
}
PAGES_OF_MEMBERS = {
    "overview": "/o/{slug}/?range=24h",
    "overview by tag": "/o/{slug}/?by=tag",
    "requests": "/o/{slug}/requests/",
    "request": "/o/{slug}/requests/{event}/",
    "keys": "/o/{slug}/keys/",
    "key": "/o/{slug}/keys/{key}/",
    "new key": "/o/{slug}/keys/new/",
    "first key": "/o/{slug}/welcome/",
    "projects": "/o/{slug}/projects/",
    "limits": "/o/{slug}/settings/limits/",
    "budgets": "/o/{slug}/budgets/",
    "budget": "/o/{slug}/budgets/{budget}/",
    "new budget": "/o/{slug}/budgets/new/",
    "new project": "/o/{slug}/projects/new/",
    "providers": "/o/{slug}/providers/",
    "ledger": "/o/{slug}/ledger/",
    "months": "/o/{slug}/ledger/months/",
    "billing": "/o/{slug}/billing/",
    "payment": "/o/{slug}/billing/payments/{payment}/",
    "invoices": "/o/{slug}/billing/invoices/",
    "invoice": "/o/{slug}/billing/invoices/{invoice}/",
    "team": "/o/{slug}/team/",
    "settings": "/o/{slug}/settings/",
    "profile": "/profile/",
    "password": "/accounts/password/change/",
    "e-mail": "/accounts/email/",
    "new organization": "/organizations/new/",
}


# The audit of a later test reads what this one leaves.
NOTHING_USED = (UsageEvent.Ending.REFUSED, UsageEvent.Ending.REPLAYED)


@pytest.fixture
def busy(team: Team) -> Team:
    """A team with a day of requests of every ending, some with names as long as they get."""
    now = timezone.now()
    endings = UsageEvent.Ending.values
    events = UsageEvent.objects.bulk_create(
        UsageEvent(
            id=uuid4(),
            occurred_at=now - timedelta(minutes=20 * number),
            organization_id=team.organization.pk,
            project_id=team.somebody.project.pk,
            key_id=team.somebody.key_row.pk,
            request_id=f"req-{number}",
            route="/v1/chat/completions",
            requested_model=LONG_NAME,
            model=LONG_NAME if number % 5 else "echo",
            provider="fake",
            status=200 if ending == "completed" else 499 if ending == "client_left" else 502,
            ending=ending,
            error_code="" if ending in ("completed", "client_left") else f"{ending}_with_a_rather_long_code",
            is_estimated=number % 7 == 0,
            input_tokens=1_000 * used,
            output_tokens=10 * used,
            cost_usd=Decimal(used) / 1000,
            charge_usd=Decimal(used) / 1000,
            duration_ms=100.0 * number,
            first_token_ms=10.0 * number,
            overhead_ms=0.8,
            timeline=[["admit", 0.1, 0.6], ["attempt 1: fake", 0.7, 50.0 * number]],
            attempts=[{"provider": "fake", "model": LONG_NAME, "status_code": 200, "succeeded": True}],
            limits={"key:requests": {"limit": 60, "left": 59, "reset_ms": 1000}},
            tags=["a-tag-that-is-quite-long-" + "g" * 30, "b"] if number % 2 else [],
        )
        for number in range(1, 66)
        for ending in [endings[number % len(endings)]]
        for used in [0 if ending in NOTHING_USED else number]
    )
    with transaction.atomic():
        post_transfers([_charge(event) for event in events if event.charge_usd])
    return team


def _paid_and_invoiced(team: Team) -> tuple[Payment, Invoice]:
    """A payment with a fee to show, and the invoice of a month that has closed."""
    payment = pay(team.somebody, "25", is_card_to_save="on")
    fee(team.somebody, "1.25", "2026-10-03T10:00:00")
    issue_documents(team.organization, timezone.now())
    return payment, Invoice.objects.get(organization=team.organization)


def _charge(event: UsageEvent) -> Transfer:
    return Transfer(
        id=event.id,
        organization_id=event.organization_id,
        kind=TransferKind.CHARGE,
        legs=charge_legs(charge_usd=event.charge_usd, cost_usd=event.cost_usd),
        occurred_at=event.occurred_at,
        description=f"{event.provider}/{event.model}",
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_every_page_is_accessible_and_never_wider_than_the_window(
    busy: Team, open_page: Open, viewport: dict[str, int], theme: str
) -> None:
    event = await apart(UsageEvent.objects.filter(organization_id=busy.organization.pk).first)
    key = busy.somebody.key_row.pk
    budget = await apart(_watched_budget, busy)
    payment, invoice = await apart(_paid_and_invoiced, busy)
    ids = {"event": event.id, "key": key, "budget": budget.pk, "payment": payment.pk, "invoice": invoice.pk}
    addresses = {
        name: path.format(slug=busy.organization.slug, **ids) for name, path in PAGES_OF_MEMBERS.items()
    }
    stranger = await open_page(viewport=viewport, color_scheme=theme)
    member = await open_page(busy, viewport=viewport, color_scheme=theme)

    problems = await _problems(stranger, PAGES) + await _problems(member, addresses)

    assert not problems, "\n".join(problems)


async def test_figures_tick_when_a_request_arrives(
    team: Team, gateway: Process, worker: Process, open_page: Open
) -> None:
    page = await open_page(team)
    await page.goto(f"/o/{team.organization.slug}/")
    await expect(page.get_by_text("No requests in this period")).to_be_visible()
    await expect(page.locator("[data-live-dot]")).to_be_visible()
    await page.evaluate("window.wasNotReloaded = true")

    await _send(gateway, team)
    await expect(page.locator(".tile-value").nth(1)).to_have_text("1")
    await expect(page.locator("#chart canvas")).to_be_visible()
    await page.get_by_text("Show as table").click()
    await _send(gateway, team)
    await expect(page.locator(".tile-value").nth(1)).to_have_text("2")

    assert await page.evaluate("window.wasNotReloaded")
    await expect(page.locator("details.more table")).to_be_visible()


async def test_new_requests_wait_behind_a_pill(
    team: Team, gateway: Process, worker: Process, open_page: Open
) -> None:
    page = await open_page(team)
    await page.goto(f"/o/{team.organization.slug}/requests/")
    await expect(page.locator("[data-live-dot]")).to_be_visible()

    await _send(gateway, team)
    await page.get_by_role("link", name="1 new request").click()

    await expect(page.locator("tbody tr")).to_have_count(1)


async def test_filters_become_chips_and_go_away_again(busy: Team, open_page: Open) -> None:
    page = await open_page(busy)
    await page.goto(f"/o/{busy.organization.slug}/requests/?range=24h")
    everything = await page.locator(".totals strong").first.inner_text()

    await page.get_by_text("Filter", exact=True).click()
    await page.get_by_label("Model").fill("echo")
    await page.get_by_role("button", name="Show these requests").click()
    await expect(page.locator(".totals strong").first).to_have_text("13 requests")
    await page.get_by_role("link", name="Model: echo").click()

    await expect(page.locator(".totals strong").first).to_have_text(everything)


async def test_a_page_is_read_without_scripts(busy: Team, open_page: Open) -> None:
    page = await open_page(busy, java_script_enabled=False)

    await page.goto(f"/o/{busy.organization.slug}/")
    await page.get_by_text("Show as table").click()
    await expect(page.locator("details.more table")).to_be_visible()
    await expect(page.get_by_text("Copy", exact=True)).to_have_count(0)
    await page.get_by_role("link", name="Requests", exact=True).first.click()

    await expect(page.locator("tbody tr").first).to_be_visible()


async def test_the_keyboard_reaches_the_content_first(team: Team, open_page: Open) -> None:
    page = await open_page(team)
    await page.goto(f"/o/{team.organization.slug}/")

    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")

    assert await page.evaluate("document.activeElement.id") == "main"


async def test_the_chosen_theme_is_remembered(open_page: Open) -> None:
    page = await open_page(color_scheme="light")
    await page.goto("/accounts/login/")
    light = await page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    await page.get_by_role("button", name="Light or dark").click()
    await page.goto("/accounts/signup/")

    assert await page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert await page.evaluate("getComputedStyle(document.documentElement).backgroundColor") != light


async def test_times_are_on_the_clock_of_the_browser(busy: Team, open_page: Open) -> None:
    page = await open_page(busy, timezone_id="Asia/Tokyo")
    await page.goto("/accounts/password/change/")

    await page.goto(f"/o/{busy.organization.slug}/")

    await expect(page.locator(".as-of")).to_contain_text("Asia/Tokyo")


async def _problems(page: Page, addresses: dict[str, str]) -> list[str]:
    """What axe finds on each page, and pages that scroll sideways."""
    found: list[str] = []
    for name, address in addresses.items():
        await page.goto(address)
        await page.evaluate(AXE.read_text())
        results = await page.evaluate(RUN_AXE)
        found += [
            f"{name}: {violation['id']} at {node['html'][:200]}: {node['failureSummary']}"
            for violation in results["violations"]
            for node in violation["nodes"]
        ]
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{name}: wider than the window")
    return found


def _watched_budget(team: Team) -> Budget:
    """A budget of every kind of page: one bar, and one for each."""
    said = {"amount_usd": Decimal(1), "window": "week", "is_observed": True}
    create_budget(
        organization=team.organization,
        terms=BudgetTerms(scope="tag", is_each=True, name="Long name " + "g" * 50, **said),
    )
    terms = BudgetTerms(scope="organization", is_rolling=True, **said)
    return create_budget(organization=team.organization, terms=terms)


async def _send(gateway: Process, team: Team) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, timeout=30) as client:
        answer = await client.post("/v1/chat/completions", json=chat("dear@fake"), headers=team.headers)
    assert answer.status_code == 200, answer.text
