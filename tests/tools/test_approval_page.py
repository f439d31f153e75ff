"""An approval on the page: the call as it is, three answers, and a note that the agent reads."""

from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.tools.calling import ADA, Called

pytestmark = pytest.mark.browser


async def test_calls_are_allowed_and_denied_on_the_page(page: Page, called: Called, tmp_path: Path) -> None:
    asks = [{"decision": "ask", "tool": "pay", "note": "<b>money</b>"}]
    await called.start("calling", called.one("pay", amount=5), called.one("pay", amount=7), policies=asks)
    await called.gates(2)
    await page.set_extra_http_headers({"X-User-Email": ADA})
    await page.goto(f"{called.tasks.client.base_url}/#/tasks/{called.id}")
    seven = page.locator("form.question", has_text='"amount": 7')
    await expect(seven.locator("pre.call")).to_contain_text("a policy of the task asks about pay (<b>money</b>)")
    await expect(seven.get_by_role("button")).to_have_text(["allow", "allow for this task", "deny"])
    await page.screenshot(path=tmp_path / "approval.png")
    await seven.get_by_role("textbox", name="Why it is denied").fill("Too much")
    await seven.get_by_role("button", name="deny").click()
    await expect(seven).to_have_count(0)
    five = page.locator("form.question", has_text='"amount": 5')
    await five.get_by_role("button", name="allow", exact=True).click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=30_000)
    report = await called.done()
    assert "{'paid': 5}" in report and "denied this call of pay: Too much" in report
    assert len(called.told("pay")) == 1
    await expect(page.get_by_text("pay: denied")).to_be_visible()
