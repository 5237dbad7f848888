"""A real Chromium for the pages of the house. Where none is installed, these tests say so and are skipped.

Tests are coroutines: Playwright's synchronous interface would leave its event loop running in the
thread of all later tests.
"""

import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from playwright.async_api import Browser, Page, async_playwright

from tests.house import Process, Team

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TIMEOUT_MS = 20_000

Open = Callable[..., Awaitable[Page]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    is_installed = _program() is not None
    for item in items:
        if item.path.parent.name == "browser":
            item.add_marker(pytest.mark.browser)
            if not is_installed:
                item.add_marker(pytest.mark.skip(reason="install chromium"))


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=_program(), args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield browser
        await browser.close()


@pytest.fixture
async def open_page(chromium: Browser, gateway: Process) -> Open:
    """Open a window on the house, of a stranger or of a signed-in team; scripts may not fail in it."""

    async def open_window(team: Team | None = None, **options: Any) -> Page:
        context = await chromium.new_context(
            base_url=gateway.url, **{"viewport": WIDE, "timezone_id": "Europe/Berlin"} | options
        )
        context.set_default_timeout(TIMEOUT_MS)
        if team is not None:
            session = team.somebody.browser.cookies["session"].value
            await context.add_cookies([{"name": "session", "value": session, "url": gateway.url}])
        page = await context.new_page()
        page.on("pageerror", _fail)
        return page

    return open_window


def _fail(error: Exception) -> None:
    raise AssertionError(f"a script of the page failed: {error}")


def _program() -> str | None:
    return next((path for name in PROGRAMS if (path := shutil.which(name))), None)
