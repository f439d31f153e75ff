"""A page written for the replaced system, opened from disk: it works where that is allowed, and only there."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.parts import Parts, free_port

pytestmark = pytest.mark.browser
PAGE = Path(__file__).parent / "legacy_page.html"


async def test_a_page_from_disk_lives_a_whole_task(page: Page, parts: Parts, stack: str) -> None:
    port = free_port()
    api = await parts.start("api", PAVO_PORT=str(port), PAVO_ALLOW_FILE_ORIGIN="true")
    await page.goto(f"{PAGE.as_uri()}?api=http://localhost:{port}")
    await expect(page.locator("#me")).to_have_text("legacy@example.com")
    stage, answer = page.locator("#stage"), page.locator("#answer")
    await page.click("#create")
    await expect(stage).to_have_text("INIT")
    await page.click("#message")
    await expect(answer).to_contain_text('"started":true')
    await expect(stage).to_have_text("WAIT_RFC")
    await page.click("#comment")
    await expect(answer).to_contain_text("feedback_id")
    await page.click("#accept")
    await expect(answer).to_contain_text("409")
    await page.click("#done")
    await expect(page.locator("#plan")).to_have_text("v2")
    await expect(stage).to_have_text("WAIT_RFC")
    await page.click("#accept")
    await expect(stage).to_have_text("EXECUTING")
    await expect(page.locator("#events")).to_contain_text("tick")
    await page.click("#stop")
    await expect(stage).to_have_text("STOPPED")
    await page.click("#message")
    await expect(stage).to_have_text("EXECUTING")
    await page.click("#status")
    await expect(answer).to_contain_text('"stage":"EXECUTING"')
    await expect(stage).to_have_text("DONE", timeout=60_000)
    lines = [line.split() for line in await page.locator("#events li").all_inner_texts()]
    assert [int(line[1]) for line in lines] == list(range(1, len(lines) + 1))
    assert all(line[0] == line[1] for line in lines)
    api.end()


async def test_a_page_from_disk_is_refused_by_default(page: Page, stack: str) -> None:
    await page.goto(f"{PAGE.as_uri()}?api={stack}")
    await expect(page.locator("#answer")).to_contain_text("refused")
    await page.click("#create")
    await expect(page.locator("#answer")).to_contain_text("refused")
    await expect(page.locator("#me")).to_be_empty()
