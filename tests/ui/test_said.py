"""What an agent says before it is recorded, on the page: shown as it comes, once; gone with its step or a stop."""

import re
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Page, expect

from tests.parts import Parts
from tests.tasks.emitting_agents import install
from tests.tasks.own_stack import Own, on_path, own_stack

pytestmark = pytest.mark.browser


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(parts, "said", {"PYTHONPATH": on_path(folder)}) as stack:
        yield stack


async def test_words_are_seen_as_they_come_and_go_with_a_stop(page: Page, own: Own) -> None:
    tasks = own.tasks
    task_id = await tasks.started({"words": 150, "answers": 100}, agent_type="emitting", auto_accept=True)
    await page.set_extra_http_headers({"X-User-Email": tasks.client.headers["x-user-email"]})
    await page.goto(f"{tasks.client.base_url}/#/tasks/{task_id}")
    said = page.locator(".said")
    await expect(said).to_contain_text(re.compile(r"\d+:1:20:"))
    text = await said.inner_text()
    words = [int(word.split(":")[2]) for word in text.split()]
    assert words == list(range(len(words))), "whole, and each word once"
    await expect(said).to_contain_text(re.compile(r"^\d+:2:0:"), timeout=30_000)  # the next answer alone
    await expect(page.get_by_text("Checkpoint 1 recorded")).to_be_visible()
    await tasks.post(f"{task_id}/stop")
    await expect(said).to_be_hidden()
