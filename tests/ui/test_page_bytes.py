"""What the page reads: once what there is, and then only what has changed."""

import contextlib
import re
from typing import Any

import pytest
from playwright.async_api import Error, Page, Response, Route, expect

from tests.driving import Tasks
from tests.ui.test_review_page import mine, opened, second  # noqa: F401 - mine is a fixture

pytestmark = pytest.mark.browser
LONG = "many words " * 1_700
"""52 of them are nearly a megabyte: as many as a document's own answer has."""
MANY = 52
SLOW = 20_000
"""Milliseconds: looking for a text on such a page takes the browser long where it has a tenth of a processor."""
DOCUMENTS = re.compile("/api/.*/documents([?]|$)")


class Read:
    """Bytes of the bodies that the page has read from the API; streams are not counted."""

    def __init__(self, page: Page) -> None:
        self.bytes = 0
        self.statuses: list[int] = []
        page.on("requestfinished", self._count)

    async def _count(self, request: Any) -> None:
        if "/api/" in request.url and not request.url.rstrip("/").partition("?")[0].endswith("/stream"):
            try:
                answer: Response | None = await request.response()
                sizes = await request.sizes()
            except Error:  # the page was closed meanwhile
                return
            self.bytes += sizes["responseBodySize"]
            self.statuses.append(answer.status if answer else 0)

    def start_over(self) -> None:
        self.bytes = 0
        self.statuses.clear()


async def commented(tasks: Tasks, task: dict[str, Any], count: int = MANY) -> None:
    path = f"{task['id']}/documents/{task['plan']['document_id']}/feedback"
    for number in range(count):
        await tasks.post(path, 201, body=f"{number}: {LONG}", step=number % 5 + 1)


async def test_a_change_is_read_alone(page: Page, stack: str, mine: Tasks) -> None:  # noqa: F811
    task = await mine.reviewable()
    await commented(mine, task)
    read = Read(page)
    await opened(page, stack, task["id"])
    await expect(page.locator(".comments li")).to_have_count(MANY)
    assert read.bytes > 950_000, "the whole of it, once"

    read.start_over()
    document = f"{task['id']}/documents/{task['plan']['document_id']}"
    said = await mine.post(f"{document}/feedback", 201, body="A short one, from elsewhere.", step=2)
    await expect(page.get_by_text("A short one, from elsewhere.")).to_be_visible(timeout=SLOW)
    await mine.client.patch(f"/api/tasks/{document}/feedback/{said['id']}", json={"body": "Changed, from elsewhere."})
    await expect(page.get_by_text("Changed, from elsewhere.")).to_be_visible(timeout=SLOW)
    await mine.client.delete(f"/api/tasks/{document}/feedback/{said['id']}")
    await expect(page.get_by_text("Changed, from elsewhere.")).to_have_count(0, timeout=SLOW)
    await page.get_by_role("button", name="Comment on step 4").click()
    await page.get_by_role("textbox", name="Comment on step 4").fill("One of my own")
    await page.get_by_role("button", name="Save comment").click()
    await expect(page.get_by_text("One of my own")).to_be_visible(timeout=SLOW)
    assert read.bytes < 60_000, read.bytes

    # Accepted elsewhere: the plan and its comments are there already.
    await mine.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"], override_feedback=True)
    await expect(page.get_by_text("accepted by you")).to_be_visible(timeout=SLOW)
    await expect(page.get_by_role("heading", name="Report", exact=True)).to_be_visible(timeout=60_000)
    await expect(page.locator(".pulse")).to_have_text("Complete")
    assert read.bytes < 120_000, read.bytes


async def test_of_very_many_comments_the_first_are_read(page: Page, stack: str, mine: Tasks) -> None:  # noqa: F811
    """A megabyte of them; the others when they are asked for."""
    task = await mine.reviewable()
    await commented(mine, task, 60)
    read = Read(page)
    await opened(page, stack, task["id"])
    comments = page.locator(".comments li")
    await expect(page.get_by_role("button", name="Show more comments")).to_be_visible(timeout=SLOW)
    assert 0 < await comments.count() < 60 and read.bytes < 1_200_000
    await expect(page.get_by_role("button", name="Done reviewing")).to_be_visible()
    # The page reads the document once more for the events that it missed: whoever clicks just then clicks again.
    more = page.get_by_role("button", name="Show more comments")
    while await more.count():
        with contextlib.suppress(Error):
            await more.click(timeout=SLOW)
        with contextlib.suppress(AssertionError):
            await expect(more).to_have_count(0, timeout=2_000)
    await expect(comments).to_have_count(60, timeout=SLOW)


async def test_a_list_that_stays_the_same_is_not_read_again(page: Page, stack: str, mine: Tasks) -> None:  # noqa: F811
    task_id = await mine.create(title="Stays as it is")
    read = Read(page)
    await page.set_extra_http_headers({"X-User-Email": "reviewer@example.com"})
    await page.goto(stack)
    row = page.locator(f"#task-{task_id}")
    await expect(row).to_be_visible()

    def is_unchanged(answer: Response) -> bool:
        return answer.url.endswith("limit=50") and answer.status == 304

    async with page.expect_response(is_unchanged):
        pass  # by then what was read at first is counted, too
    before = read.bytes
    async with page.expect_response(is_unchanged):
        pass
    assert read.bytes - before < 2_000
    await expect(row).to_contain_text("Stays as it is")
    await mine.client.patch(f"/api/tasks/{task_id}", json={"title": "Has another title"})
    await expect(row).to_contain_text("Has another title")


async def test_older_versions_are_read_when_they_are_asked_for(page: Page, stack: str, mine: Tasks) -> None:  # noqa: F811
    task = await mine.reviewable()
    for version in (2, 3):
        task = await second(mine, task, version=version)

    async def short(route: Route) -> None:
        """Pages of one document, as they are where each has a megabyte."""
        await route.continue_(url=f"{route.request.url}{'&' if '?' in route.request.url else '?'}limit=1")

    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if DOCUMENTS.search(request.url) else None)
    await page.route(DOCUMENTS, short)
    await opened(page, stack, task["id"])
    await expect(page.get_by_role("heading", name="Plan v3")).to_be_visible()
    await expect(page.get_by_text("What became of 1 comment on v2")).to_be_visible()
    await expect(page.get_by_role("button", name="v1 superseded")).to_have_count(0)
    assert len(asked) == 2
    await page.get_by_role("button", name="Older versions").click()
    await page.get_by_role("button", name="v1 superseded").click()
    await expect(page.get_by_role("heading", name="Plan v1")).to_be_visible()
    await expect(page.get_by_role("button", name="Older versions")).to_have_count(0)
    assert len(asked) == 3


async def test_an_edit_by_somebody_else_is_shown(page: Page, stack: str, mine: Tasks) -> None:  # noqa: F811
    task = await mine.reviewable()
    await opened(page, stack, task["id"])
    await mine.post(f"{task['id']}/stop")
    await mine.client.patch(f"/api/tasks/{task['id']}", json={"title": "Renamed", "prompt": "Something else"})
    await expect(page.get_by_role("heading", name="Renamed")).to_be_visible()
    await expect(page.get_by_text("superseded", exact=True)).to_be_visible()
