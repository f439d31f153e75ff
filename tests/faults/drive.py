"""Drives tasks from outside and judges the outcome: commands over HTTP, SSE viewers, and the record in PostgreSQL."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

from tests.faults.stack import Stack, until

RETRY_SECONDS = 120.0
HEADERS = {"X-User-Email": "faults@example.org"}
AGAIN = (httpx2.TransportError,)


@dataclass
class Driver:
    """A client that repeats what was answered 503 or not at all, and remembers every status.

    `wrong` holds answers that a client must never see: 5xx other than 503, 503 without Retry-After.
    """

    stack: Stack
    statuses: Counter[int] = field(default_factory=Counter[int])
    wrong: list[str] = field(default_factory=list[str])
    lost: int = 0
    """Requests without any answer."""

    def __post_init__(self) -> None:
        limits = httpx2.Limits(max_connections=400, max_keepalive_connections=50)
        self.client = httpx2.AsyncClient(
            base_url=self.stack.api, headers=HEADERS, timeout=60, limits=limits, trust_env=False
        )

    async def __aenter__(self) -> "Driver":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def once(self, method: str, path: str, **options: Any) -> httpx2.Response:
        """One request, judged."""
        try:
            answer = await self.client.request(method, path, **options)
        except AGAIN:
            self.lost += 1
            raise
        self.statuses[answer.status_code] += 1
        if answer.status_code >= 500 and (answer.status_code != 503 or "retry-after" not in answer.headers):
            self.wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
        return answer

    async def call(self, method: str, path: str, *, seconds: float = RETRY_SECONDS, **options: Any) -> httpx2.Response:
        """Repeat until there is an answer other than 503."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                answer = await self.once(method, path, **options)
                if answer.status_code != 503:
                    return answer
                last: object = answer.text
            except AGAIN as error:
                last = error
            if time.monotonic() > deadline:
                raise AssertionError(f"{method} {path}: no answer within {seconds} s, last {last!r}")
            await asyncio.sleep(0.1)

    async def ok(self, method: str, path: str, **options: Any) -> Any:
        """The JSON of a 2xx answer."""
        answer = await self.call(method, path, **options)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    # Tasks

    async def create(
        self,
        steps: int,
        step_seconds: float = 0.05,
        *,
        agent: str = "intern",
        auto_accept: bool = True,
        options: dict[str, Any] | None = None,
    ) -> str:
        """A new task's id."""
        if options is None:
            options = {"steps": steps, "step_seconds": step_seconds}
        body = {"title": "Survive", "agent_type": agent, "auto_accept": auto_accept, "agent_options": options}
        key = {"Idempotency-Key": f"{random.getrandbits(64):x}"}
        return (await self.ok("POST", "/api/tasks", json=body, headers=key))["id"]

    async def start(self, task: str) -> Any:
        return await self.ok("POST", f"/api/tasks/{task}/start")

    async def get(self, task: str) -> Any:
        return await self.ok("GET", f"/api/tasks/{task}")

    async def stop(self, task: str) -> httpx2.Response:
        return await self.call("POST", f"/api/tasks/{task}/stop")

    async def resume(self, task: str) -> Any:
        return await self.ok("POST", f"/api/tasks/{task}/resume")

    async def accept(self, task: str) -> Any:
        """Accept the plan once it is under review."""
        view = await self.stage(task, "WAIT_RFC", "EXECUTING", "DONE")
        if view["stage"] == "WAIT_RFC":
            return await self.ok("POST", f"/api/tasks/{task}/plan/accept", json={"hash": view["plan"]["hash"]})
        return None

    async def wait(self, task: str, check: Callable[[Any], bool], what: str, seconds: float = 90) -> Any:
        """The task's view once `check` holds."""

        async def look() -> Any:
            view = await self.get(task)
            if not check(view):
                raise AssertionError(f"{view['stage']} {view['stage_status']} error={view['error']}")
            return view

        return await until(look, seconds, f"task {task}: {what}")

    async def stage(self, task: str, *stages: str, seconds: float = 90) -> Any:
        return await self.wait(task, lambda view: view["stage"] in stages, f"stage {stages}", seconds)

    async def events(self, task: str) -> list[dict[str, Any]]:
        """The whole timeline."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = await self.ok("GET", f"/api/tasks/{task}/events", params={"after": after, "limit": 1000})
            found += page["items"]
            if not page["items"] or found[-1]["seq"] >= page["last_seq"]:
                return found

    # Judging

    async def verify(
        self, tasks: Sequence[str], steps: int, viewers: "Sequence[Viewer]" = (), seconds: float = 120
    ) -> None:
        """All DONE; each step once, in order; no gap; the viewers saw what the timeline holds."""
        deadline = time.monotonic() + seconds
        for task in tasks:
            await self.stage(task, "DONE", seconds=max(1.0, deadline - time.monotonic()))
        timelines = {task: await self.events(task) for task in tasks}
        for task, events in timelines.items():
            check_timeline(task, events, steps)
        rows = await self.stack.sql("SELECT task_id::text, step, holder FROM executions")
        recorded = {row[0]: row[1] for row in rows}
        assert all(recorded[task] == steps for task in tasks), recorded
        for viewer in viewers:
            await asyncio.wait_for(viewer.ended(), max(5.0, deadline - time.monotonic()))
            assert viewer.seen == timelines[viewer.task], _difference(viewer, timelines[viewer.task])
        assert not self.wrong, self.wrong[:5]


def _difference(viewer: "Viewer", timeline: Sequence[dict[str, Any]]) -> str:
    """Where a viewer's events part from the record."""
    pairs = zip(viewer.seen, timeline, strict=False)
    wrong = [f"saw {seen}, recorded {kept}" for seen, kept in pairs if seen != kept]
    lengths = f"{len(viewer.seen)} seen, {len(timeline)} recorded"
    return f"a viewer of {viewer.task} saw something else: {lengths}; {wrong[:3]}"


def check_timeline(task: str, events: Sequence[dict[str, Any]], steps: int | None) -> list[int]:
    """No gap in `seq`, no step twice or out of order; with `steps` exactly these. Answers the steps."""
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1)), f"{task}: gap in seq"
    ticks = [event.get("step", event["progress"]) for event in events if event["type"] == "tick"]
    assert ticks == list(range(1, len(ticks) + 1)), f"{task}: steps {ticks}"
    if steps is not None:
        assert len(ticks) == steps, f"{task}: {len(ticks)} steps instead of {steps}"
    return ticks


class Viewer:
    """Watches one task over SSE, drops the connection at random, and goes on with Last-Event-ID."""

    def __init__(self, driver: Driver, task: str, rng: random.Random, drop_every: float = 15) -> None:
        self.task = task
        self.seen: list[dict[str, Any]] = []
        self.connects = 0
        self._driver = driver
        self._rng = rng
        self._drop_every = drop_every
        self._running = asyncio.create_task(self._run())

    async def ended(self) -> None:
        """Until the stream said that nothing will follow."""
        await self._running

    async def cancel(self) -> None:
        self._running.cancel()
        await asyncio.gather(self._running, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            try:
                if await self._connect():
                    return
            except AGAIN:
                pass
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))

    async def _connect(self) -> bool:
        last = self.seen[-1]["seq"] if self.seen else 0
        headers = {"Last-Event-ID": str(last)} if last else {}
        left = self._rng.expovariate(1 / self._drop_every)
        timeout = httpx2.Timeout(10, read=25)
        url = f"/api/tasks/{self.task}/stream"
        async with self._driver.client.stream("GET", url, headers=headers, timeout=timeout) as answer:
            self.connects += 1
            if answer.status_code == 204:
                return True
            if answer.status_code == 503 and "retry-after" in answer.headers:
                return False
            assert answer.status_code == 200, f"stream: {answer.status_code}"
            event_id = None
            async for line in answer.aiter_lines():
                if line.startswith("id:"):
                    event_id = int(line[3:])
                elif line.startswith("data:"):
                    event = json.loads(line[5:])
                    last = self.seen[-1]["seq"] if self.seen else 0
                    assert event_id == event["seq"] == last + 1, f"{self.task}: {event['seq']} after {last}"
                    self.seen.append(event)
                    left -= 1
                    if left < 0:
                        return False
        return False


def seeded(name: str, seed: int | None = None) -> random.Random:
    """A random generator whose seed is printed, or comes from PAVO_SEED."""
    import os

    chosen = seed if seed is not None else int(os.environ.get("PAVO_SEED", random.SystemRandom().randrange(2**31)))
    print(f"{name}: PAVO_SEED={chosen}")
    return random.Random(chosen)
