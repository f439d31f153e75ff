"""Answering on the page: what is answered is the question that is shown, and what is typed is not lost."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.gates.asking import ADA, Asked, question

pytestmark = pytest.mark.browser


async def test_questions_are_answered_on_the_page(page: Page, asked: Asked, tmp_path: Path) -> None:
    questions = (
        question("where", "Where shall it go?\nIt is build 7.", choices=["staging", "production"]),
        question("when", "At what hour?", schema={"type": "integer"}, expires=86_400.0, default=9),
        question("why", "Why <b>now</b>?"),
    )
    await asked.start("asking", *questions)
    gates = {gate["key"]: gate for gate in await asked.gates(count=3)}
    sent: list[Any] = []
    page.on("request", lambda request: sent.append(request.post_data_json) if "/answer" in request.url else None)
    await page.set_extra_http_headers({"X-User-Email": ADA})
    await page.goto(f"{asked.client.base_url}/#/tasks/{asked.id}")
    await expect(page.locator(f"#task-{asked.id}")).to_contain_text("Waits: ")
    await expect(page.get_by_text("Why <b>now</b>?", exact=True)).to_be_visible()
    await page.screenshot(path=tmp_path / "questions.png")
    reason = page.get_by_role("textbox", name="Why <b>now</b>?")
    await reason.fill("Half a thought")
    await page.get_by_role("button", name="production").click()
    await expect(page.get_by_role("button", name="production")).to_have_count(0)
    await expect(reason).to_have_value("Half a thought")

    hour = page.get_by_role("form", name="At what hour?")
    await hour.get_by_role("textbox").fill("noon")
    await hour.get_by_role("button", name="Answer").click()
    await expect(hour.get_by_role("alert")).to_contain_text("no JSON")
    await hour.get_by_role("textbox").fill("12.5")
    await hour.get_by_role("button", name="Answer").click()
    await expect(hour.get_by_role("alert")).to_contain_text("schema")
    await hour.get_by_role("textbox").fill("12")
    await hour.get_by_role("button", name="Answer").click()
    await expect(hour).to_have_count(0)
    await page.get_by_role("form", name="Why <b>now</b>?").get_by_role("button", name="Answer").click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=30_000)
    assert await asked.done() == "{'where': 'production', 'when': 12, 'why': 'Half a thought'}"
    assert [each["answer"] for each in sent] == ["production", 12.5, 12, "Half a thought"]
    assert {each["hash"] for each in sent} == {gate["hash"] for gate in gates.values()}
