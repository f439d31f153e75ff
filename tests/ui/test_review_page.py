"""The review on the page: what is accepted is what was shown, and nothing that was typed or pressed is lost."""

from typing import Any

import httpx2
import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.driving import Tasks, until

pytestmark = pytest.mark.browser
REVIEWER = "reviewer@example.com"


@pytest_asyncio.fixture
async def mine(stack: str) -> Any:
    """The tasks of the organisation whose page is open, driven by a colleague's hands."""
    headers = {"X-User-Email": REVIEWER}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        yield Tasks(client)


async def opened(page: Page, stack: str, task_id: str) -> None:
    await page.set_extra_http_headers({"X-User-Email": REVIEWER})
    await page.goto(f"{stack}/#/tasks/{task_id}")
    await expect(page.get_by_role("heading", name="Analyze churn drivers")).to_be_visible()


async def second(tasks: Tasks, task: dict[str, Any], *, version: int = 2) -> dict[str, Any]:
    """Somebody else ends the review, and the next version is there."""
    document = f"{task['id']}/documents/{task['plan']['document_id']}"
    await tasks.post(f"{document}/feedback", 201, body="From elsewhere.")
    await tasks.post(f"{task['id']}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def there() -> Any:
        found = await tasks.get(task["id"])
        return found["plan"]["version"] == version and found["stage"] == "WAIT_RFC" and found

    return await until(there)


async def test_a_new_version_never_takes_the_place_of_what_is_read(page: Page, stack: str, mine: Tasks) -> None:
    task = await mine.reviewable()
    await opened(page, stack, task["id"])
    await page.get_by_role("button", name="Comment on step 2").click()
    await page.get_by_label("Comment on step 2").fill("Half a thought")
    v2 = await second(mine, task)
    await expect(page.get_by_text("Version 2 of the plan is there.")).to_be_visible()
    await expect(page.get_by_role("heading", name="Plan v1")).to_be_visible()
    await expect(page.get_by_role("button", name="Accept plan")).to_have_count(0)
    await page.get_by_role("button", name="Show v2").click()
    await expect(page.get_by_role("heading", name="Plan v2")).to_be_visible()
    await expect(page.get_by_label("Comment on step 2")).to_have_value("Half a thought")

    asked: list[Any] = []
    page.on("request", lambda request: asked.append(request.post_data_json) if "/plan/accept" in request.url else None)
    await page.get_by_role("button", name="Accept plan").click()
    await expect(page.get_by_role("dialog")).to_contain_text("not sent")
    await page.get_by_role("button", name="Go on writing").click()
    await expect(page.get_by_label("Comment on step 2")).to_have_value("Half a thought")
    assert not asked
    await page.get_by_role("button", name="Accept plan").click()
    await page.get_by_role("button", name="Send it").click()
    await expect(page.get_by_role("button", name="Done reviewing")).to_be_visible()
    await expect(page.get_by_text("Half a thought")).to_be_visible()
    assert not asked, "a comment was sent: the plan is not accepted by that click"
    await page.get_by_role("button", name="Withdraw").click()
    await page.get_by_role("button", name="Comment on step 3").click()
    await page.get_by_label("Comment on step 3").fill("Never mind")
    await page.get_by_role("button", name="Accept plan").click()
    await page.get_by_role("button", name="Discard it").click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    assert asked == [{"hash": v2["plan"]["hash"]}]
    plans = await mine.documents(task["id"])
    assert plans[1]["status"] == "ACCEPTED" and plans[1]["feedback"] == []
    assert plans[1]["accepted_by"]["email"] == REVIEWER
    await expect(page.get_by_text("accepted by you")).to_be_visible()


async def test_what_is_accepted_is_what_was_on_the_page_at_the_click(page: Page, stack: str, mine: Tasks) -> None:
    """The second version comes after the click, before the page knows of it."""
    task = await mine.reviewable()
    await opened(page, stack, task["id"])

    async def overtaken(route: Any) -> None:
        await second(mine, task)
        await route.continue_()

    await page.route("**/plan/accept", overtaken)
    await page.get_by_role("button", name="Accept plan").click()
    await expect(page.get_by_role("alert")).to_contain_text("Version 2 of the plan is current")
    await expect(page.get_by_role("heading", name="Plan v1")).to_be_visible()
    assert (await mine.get(task["id"]))["stage"] == "WAIT_RFC"


async def test_accept_in_spite_of_comments(page: Page, stack: str, mine: Tasks) -> None:
    task = await mine.reviewable()
    await opened(page, stack, task["id"])
    await page.get_by_label("Say something to the agent").fill("Mind the small customers")
    await page.get_by_role("button", name="Say it").click()
    await expect(page.get_by_text("Added to the review")).to_be_visible()
    await page.get_by_role("button", name="Accept all the same").click()
    await page.get_by_role("button", name="Go on reviewing").click()
    await page.get_by_role("button", name="Accept all the same").click()
    await page.get_by_role("button", name="Accept it").click()
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    await expect(page.get_by_text("in spite of 1 open comment")).to_be_visible()


async def test_the_list_takes_clicks_while_tasks_tick(page: Page, stack: str, mine: Tasks) -> None:
    other = await mine.create(title="The other one")
    ticking = await mine.executing({"steps": 10_000, "step_seconds": 0.01})
    await opened(page, stack, ticking)
    await expect(page.locator(f"#task-{other}")).to_be_visible()
    place = await page.locator(f"#task-{other} .title").bounding_box()
    assert place is not None
    await page.mouse.move(place["x"] + 5, place["y"] + 5)
    await page.mouse.down()
    # A hand holds the button for as long as it takes the task to move on and the list to be drawn anew.
    steps = page.locator(".progress p")
    seen = await steps.inner_text()
    await expect(steps).not_to_have_text(seen)
    await page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    await page.mouse.up()
    await expect(page.get_by_role("heading", name="The other one")).to_be_visible()
    await mine.post(f"{ticking}/stop")
