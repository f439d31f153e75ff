"""Driving tasks over HTTP, as clients do."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx2

from tests.told import check, framed

QUICK = {"steps": 5, "step_seconds": 0}
SLOW = {"steps": 10_000, "step_seconds": 0.05}


SHORTEST_PAUSE, LONGEST_PAUSE = 0.02, 0.2
PATIENCE = 90.0
"""Seconds, on a machine that has other things to do too: a limit is no measure, what must be quick says how quick."""


def pause(waited: float) -> float:
    """Seconds until one asks again, after so many: what takes long is asked less often, and costs the others less."""
    return min(max(SHORTEST_PAUSE, waited / 20), LONGEST_PAUSE)


async def until(ask: Callable[[], Any], *, seconds: float = PATIENCE, what: str = "the condition") -> Any:
    """Ask (a coroutine function) until the answer is true; the answer."""
    begun = time.monotonic()
    while not (answer := await ask()):
        waited = time.monotonic() - begun
        assert waited < seconds, f"{what} did not come true within {seconds} s"
        await asyncio.sleep(pause(waited))
    return answer


class Tasks:
    """One user's view of the API."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def post(self, path: str, expect: int = 200, **body: Any) -> Any:
        answer = await self.client.post(f"/api/tasks/{path}".rstrip("/"), json=body or None)
        assert answer.status_code == expect, (path, answer.status_code, answer.text)
        return answer.json() if answer.content else None

    async def create(self, options: dict[str, Any] | None = None, **more: Any) -> str:
        body = {"title": "Analyze churn drivers", "agent_options": options if options is not None else QUICK, **more}
        return (await self.post("", 201, **body))["id"]

    async def started(self, options: dict[str, Any] | None = None, **more: Any) -> str:
        task_id = await self.create(options, **more)
        await self.post(f"{task_id}/start")
        return task_id

    async def get(self, task_id: str) -> dict[str, Any]:
        answer = await self.client.get(f"/api/tasks/{task_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def wait(self, task_id: str, *stages: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """The task, as soon as it is in one of these stages."""
        last: dict[str, Any] = {}

        async def there() -> bool:
            nonlocal last
            last = await self.get(task_id)
            return last["stage"] in stages

        try:
            await until(there, seconds=seconds, what=f"stage {stages}")
        except AssertionError as late:
            raise AssertionError(f"{late}; it is {last}") from None
        return last

    async def reviewable(self, options: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """A started task whose plan waits for review."""
        return await self.wait(await self.started(options, **more), "WAIT_RFC")

    async def accept(self, task: dict[str, Any]) -> None:
        await self.post(f"{task['id']}/plan/accept", hash=task["plan"]["hash"])

    async def executing(self, options: dict[str, Any] | None = None, *, steps: int = 1, **more: Any) -> str:
        """A task with so many steps recorded, and more to come."""
        task_id = await self.started(options or SLOW, auto_accept=True, **more)

        async def far_enough() -> bool:
            return (await self.get(task_id))["steps"] >= steps

        await until(far_enough, what=f"{steps} steps")
        return task_id

    async def events(self, task_id: str) -> list[dict[str, Any]]:
        """The whole timeline, and that it is gapless and as described."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            answer = await self.client.get(f"/api/tasks/{task_id}/events", params={"after": after, "limit": 1000})
            assert answer.status_code == 200, answer.text
            found += answer.json()["items"]
            if len(answer.json()["items"]) < 1000:
                break
        assert [event["seq"] for event in found] == list(range(1, len(found) + 1))
        for event in found:
            check(event)
        return found

    async def documents(self, task_id: str) -> list[dict[str, Any]]:
        return (await self.client.get(f"/api/tasks/{task_id}/documents")).json()["items"]

    async def stream(self, task_id: str, after: int = 0) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """(id, data) of each server-sent event until the stream ends."""
        headers = {"Last-Event-ID": str(after)} if after else {}
        async with self.client.stream("GET", f"/api/tasks/{task_id}/stream", headers=headers) as answer:
            assert answer.status_code == 200
            assert answer.headers["content-type"].startswith("text/event-stream")
            frame = list[str]()
            async for line in answer.aiter_lines():
                if line:
                    frame.append(line)
                elif (found := framed(frame)) is not None:
                    yield found
                frame = frame if line else []


def types(events: list[dict[str, Any]], *wanted: str) -> list[str]:
    """The types of these events in order; only the wanted ones, if any are named."""
    return [event["type"] for event in events if not wanted or event["type"] in wanted]


def stages(events: list[dict[str, Any]]) -> list[str]:
    """The stages that a task went through."""
    return [event["stage"] for event in events if event["type"] == "stage"]


def ticks(events: list[dict[str, Any]]) -> list[int]:
    """The numbers of the recorded steps."""
    return [event["step"] for event in events if event["type"] == "tick"]
