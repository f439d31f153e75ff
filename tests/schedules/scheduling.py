"""Schedules as a person has them, for tests."""

import uuid
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx2

from tests.driving import until

TASK: Mapping[str, Any] = {"task": {"title": "Nightly report", "auto_accept": True, "agent_options": {"steps": 1}}}
"""One that is over within a moment."""
IN_REVIEW: Mapping[str, Any] = {"task": {"title": "Nightly report", "agent_options": {"steps": 1}}}
"""One that stays open: its plan waits for its review."""
HOURLY: Mapping[str, Any] = {"cron": ["0 * * * *"]}


class Schedules:
    """One user's."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def ask(self, method: str, path: str = "", *, status: int = 200, **request: Any) -> Any:
        answer = await self.client.request(method, f"/api/schedules{path}", **request)
        assert answer.status_code == status, (method, path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def create(self, *, status: int = 201, **values: Any) -> Any:
        wanted = {"name": f"s-{uuid.uuid4().hex[:8]}", "starts": TASK, "times": HOURLY, **values}
        return await self.ask("POST", status=status, json=wanted)

    async def firings(self, schedule_id: str, **params: Any) -> list[Any]:
        return (await self.ask("GET", f"/{schedule_id}/firings", params=params))["items"]

    async def until(self, schedule_id: str, holds: Callable[[list[Any]], bool]) -> list[Any]:
        """Its firings, oldest first, once this holds of them."""
        found = list[Any]()

        async def look() -> bool:
            nonlocal found
            found = [*reversed(await self.firings(schedule_id, limit=200))]
            return holds(found)

        await until(look, what=f"the firings of {schedule_id}")
        return found


@asynccontextmanager
async def somebody(stack: str) -> AsyncGenerator[Schedules]:
    """A new user."""
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        yield Schedules(client)
