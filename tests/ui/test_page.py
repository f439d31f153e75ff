"""The page, driven as a person would."""

import re

import httpx2
import pytest
from playwright.async_api import Page, expect

from tests.parts import Part, Parts, free_port

pytestmark = pytest.mark.browser


async def create(page: Page, title: str, *, steps: int = 40, seconds: str = "0.05", auto: bool = False) -> None:
    await page.get_by_role("link", name="New task").first.click()
    await page.get_by_label("Title").fill(title)
    await page.get_by_text("Options of the agent").click()
    await page.get_by_label("Steps", exact=True).fill(str(steps))
    await page.get_by_label("Step seconds").fill(seconds)
    if auto:
        await page.get_by_label("Accept the first plan").check()
    await page.get_by_role("button", name="Create and plan").click()
    await expect(page.get_by_role("heading", name=title)).to_be_visible()


async def test_the_whole_life_of_a_task(page: Page, stack: str) -> None:
    title = "Analyze churn drivers <img src=x onerror=alert(1)>"
    await page.goto(stack)
    await create(page, title, steps=60)
    await page.get_by_role("button", name="Comment on step 2").click()
    await page.get_by_label("Comment on step 2").fill("Read the <b>invoices</b>, too")
    await page.get_by_role("button", name="Save comment").click()
    await page.get_by_role("button", name="Edit").click()
    await page.get_by_label("Change the comment").fill("Read the **invoices** as well")
    await page.get_by_role("button", name="Save comment").click()
    await expect(page.get_by_text("Read the **invoices** as well")).to_be_visible()
    await page.get_by_role("button", name="Done reviewing").click()
    await expect(page.get_by_role("heading", name="Plan v2")).to_be_visible()
    await expect(page.get_by_text("Worked into step 2")).to_be_visible()
    await page.get_by_role("button", name="v1 superseded").click()
    await expect(page.get_by_role("heading", name="Plan v1")).to_be_visible()
    await page.get_by_role("button", name="v2 in review").click()
    await page.get_by_role("button", name="Accept plan").click()
    await expect(page.locator(".progress p")).to_contain_text(
        re.compile("[1-9][0-9]* of 60 checkpoints, plan step 3 of 5")
    )
    await page.get_by_role("button", name="Stop").click()
    await expect(page.get_by_text("is the last one recorded")).to_be_visible()
    await expect(page.get_by_text("Resuming goes on with checkpoint").first).to_be_visible()
    await page.get_by_role("button", name="Resume").click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    await expect(page.locator(".pulse")).to_have_text("Complete")
    await expect(page.get_by_text("60 of 60 checkpoints")).to_be_visible()
    await expect(page.locator(".task [data-stage=DONE]")).to_be_visible()
    assert await page.locator("img[src=x]").count() == 0


async def test_a_viewer_misses_nothing_while_the_api_restarts(page: Page, parts: Parts, stack: str) -> None:
    port = str(free_port())
    api: Part = await parts.start("api", PAVO_PORT=port)
    await page.goto(f"http://127.0.0.1:{port}")
    await create(page, "Outlive the API", steps=100, auto=True)
    await expect(page.locator(".progress p")).to_contain_text(re.compile("[1-9][0-9]* of 100"))
    api.kill()
    await expect(page.locator(".pulse")).to_have_text("Reconnecting…")
    api = await parts.start("api", PAVO_PORT=port)
    await expect(page.locator(".pulse")).to_have_text("Complete", timeout=60_000)
    await expect(page.get_by_text("Checkpoints 1 – 100 recorded, plan step 3")).to_be_visible()
    api.end()


async def test_each_address_sees_its_own_tasks(page: Page, stack: str) -> None:
    await page.goto(stack)
    for email, seen in (("grace@example.com", False), ("edsger@example.com", False), ("grace@example.com", True)):
        await page.locator("#who").click()
        await page.get_by_label("E-mail address").fill(email)
        await page.get_by_role("button", name="Switch").click()
        await expect(page.locator("#who")).to_have_text(email)
        if email.startswith("grace") and not seen:
            await create(page, "Only for Grace")
        mine = page.get_by_role("navigation").get_by_text("Only for Grace")
        await expect(mine).to_have_count(1 if email.startswith("grace") else 0)


async def test_a_refusal_tells_its_remedy_and_deleting_asks(page: Page, stack: str) -> None:
    await page.goto(stack)
    await create(page, "Reviewed twice")
    await expect(page.get_by_role("button", name="Accept plan")).to_be_visible()

    # Someone else comments between what this page shows and its click.
    async def race(route: object) -> None:
        await page.request.post(
            f"{stack}/api/tasks/{task}/documents/{plan}/feedback", data={"body": "Wait"}, headers={"Origin": stack}
        )
        await route.continue_()  # type: ignore[attr-defined]

    task = page.url.rpartition("/")[2]
    plan = (await (await page.request.get(f"{stack}/api/tasks/{task}")).json())["plan"]["document_id"]
    await page.route("**/plan/accept", race)
    await page.get_by_role("button", name="Accept plan").click()
    await expect(page.get_by_role("alert")).to_contain_text("Not possible now")
    await expect(page.get_by_role("button", name="Done reviewing")).to_be_visible()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Keep it").click()
    await page.get_by_role("button", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()
    await expect(page.get_by_role("heading", name="Tasks that survive anything")).to_be_visible()


async def test_an_unknown_outcome_offers_to_repeat(page: Page, stack: str) -> None:
    await page.goto(stack)
    await create(page, "Repeatable", steps=5)
    problem = '{"title": "The outcome is not known yet", "detail": "No answer.", "code": "OutcomeUnknown"}'
    await page.route(
        "**/plan/accept",
        lambda route: route.fulfill(status=503, content_type="application/problem+json", body=problem),
        times=1,
    )
    await page.get_by_role("button", name="Accept plan").click()
    await page.get_by_role("button", name="Repeat it").click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_token_mode_asks_for_a_token(page: Page, parts: Parts, stack: str, token: str) -> None:
    port = free_port()
    secret = "an own secret of this test, long enough"
    api = await parts.start("api", PAVO_PORT=str(port), PAVO_AUTH="token", PAVO_SECRET_KEY=secret)
    await page.goto(f"http://127.0.0.1:{port}")
    await page.get_by_label("API token").fill("pavo_wrong")
    await page.get_by_role("button", name="Log in").click()
    await expect(page.get_by_role("alert")).to_be_visible()
    await page.get_by_label("API token").fill(token)
    await page.get_by_role("button", name="Log in").click()
    await expect(page.locator("#who")).to_have_text("token@example.com")
    await create(page, "By cookie", steps=3, auto=True)
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    await page.get_by_role("button", name="Log out").click()
    await expect(page.get_by_label("API token")).to_be_visible()
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as nobody:
        assert (await nobody.get("/api/tasks")).status_code == 401
    api.end()
