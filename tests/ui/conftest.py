"""Chromium, one for the folder; a page for each test that fails when the page complains in its console."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ACTION_MILLISECONDS = 30_000


@pytest_asyncio.fixture(scope="package")
async def browser() -> AsyncIterator[Browser]:
    """The system's Chromium."""
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing (Debian: apt install chromium)")
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield found
        await found.close()


@pytest_asyncio.fixture
async def page(browser: Browser) -> AsyncIterator[Page]:
    """A page with cookies of its own."""
    context = await browser.new_context(viewport={"width": 1280, "height": 900}, reduced_motion="reduce")
    context.set_default_timeout(ACTION_MILLISECONDS)
    found = await context.new_page()
    broken: list[str] = []
    found.on("pageerror", lambda error: broken.append(str(error)))
    yield found
    await context.close()
    assert not broken, broken


@pytest.fixture(scope="session")
def token(environment: dict[str, str]) -> str:
    """An API token, made as an operator makes it."""
    made = subprocess.run(
        [sys.executable, "-m", "pavo.cli.main", "token", "create", "token@example.com"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()
