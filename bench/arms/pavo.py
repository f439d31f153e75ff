"""Pavo itself: `pavo up` on its own fresh data, driven over HTTP as anybody would."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from bench.arms.base import Arm
from bench.http import Connection
from bench.proc import Usage, free_port, script, until, usage

MAX_CONNECTIONS = 16
"""Of the driver; as many requests are in flight at once."""


class Pavo(Arm):
    """The whole life of a task: create, start, plan, accept by policy, execute, report; events and identity on.

    The data survive power cuts: not `--ephemeral`, PostgreSQL's synchronous_commit is on.
    """

    name: ClassVar[str] = "pavo"
    title: ClassVar[str] = "Pavo, whole life"
    agent_type: ClassVar[str] = "intern"
    workers = 1
    host: str
    port: int
    _pids: Sequence[int] = ()

    async def start(self) -> None:
        data = str(self.group.folder / "data")
        command = [
            script("pavo"),
            "up",
            "--port",
            str(free_port()),
            "--data-dir",
            data,
            "--workers",
            str(self.workers),
            "--no-browser",
        ]
        pid = self.group.start(command, env=self.environment(), log="pavo", grace=20)
        await until(lambda: self._ready(data), seconds=40, what="pavo up", logs=self.group)
        self._pids = [pid]
        await self.warm_up()

    def environment(self) -> Mapping[str, str]:
        """More of it for `pavo up`."""
        return {}

    async def warm_up(self) -> None:
        """Let every process import, connect and prepare what it needs."""
        self.open()
        await asyncio.wait_for(self.burst(8, 4), 60)

    def open(self) -> None:
        """The driver's connections."""
        self._idle: asyncio.LifoQueue[Connection] = asyncio.LifoQueue()
        for _ in range(MAX_CONNECTIONS):
            self._idle.put_nowait(Connection(self.host, self.port))

    def _ready(self, data: str) -> bool:
        self.state = self.status(data)
        if not self.state.get("parts") or any(part["state"] != "ready" for part in self.state["parts"]):
            return False
        address = urlsplit(self.state["urls"]["api"])
        self.host, self.port = address.hostname or "127.0.0.1", address.port or 80
        return True

    def status(self, data: str | None = None) -> dict[str, Any]:
        """What `pavo status` says; empty while nothing runs."""
        self._data = data or self._data
        command = [script("pavo"), "status", "--data-dir", self._data, "-o", "json"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        try:
            return json.loads(answer.stdout)
        except ValueError:
            return {}

    def part(self, name: str) -> dict[str, Any]:
        """One part as `pavo status` describes it."""
        return next(part for part in self.status()["parts"] if part["name"] == name)

    def parts(self) -> Mapping[str, int]:
        return {part["name"]: part["pid"] for part in self.status()["parts"]}

    def usage(self) -> Usage:
        return usage(self._pids)

    # Talking to the API

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """One request over a pooled connection."""
        connection = await self._idle.get()
        try:
            return await connection.request(method, path, body)
        except BaseException:
            connection.close()
            raise
        finally:
            self._idle.put_nowait(connection)

    async def create(
        self, steps: int, *, seconds: float = 0.0, accept: bool = True, start: bool = True, tokens: int = 0
    ) -> str:
        """Create a task of so many steps, and start it; of agents that think, each answer is streamed in so many
        tokens."""
        options = {"steps": steps, "step_seconds": seconds, **({"tokens": tokens} if tokens else {})}
        body = {"title": "Bench", "agent_type": self.agent_type, "agent_options": options, "auto_accept": accept}
        task = await self.call("POST", "/api/tasks", body)
        if start:
            await self.call("POST", f"/api/tasks/{task['id']}/start")
        return task["id"]

    async def count(self, stage: str, *, at_most: int = 200) -> int:
        """How many tasks there are in a stage, counted up to `at_most`."""
        return len((await self.call("GET", f"/api/tasks?stage={stage}&limit={at_most}"))["items"])

    async def events(self, task: str) -> list[dict[str, Any]]:
        """A task's timeline."""
        found: list[dict[str, Any]] = []
        while True:
            after = found[-1]["seq"] if found else 0
            page = await self.call("GET", f"/api/tasks/{task}/events?after={after}&limit=1000")
            found += page["items"]
            if len(page["items"]) < 1000:
                return found

    async def watch(self, task: str) -> AsyncIterator[dict[str, Any]]:
        """A task's live stream until it ends."""
        async for event in Connection(self.host, self.port).stream(f"/api/tasks/{task}/stream"):
            yield event

    async def until_done(self, tasks: Sequence[str]) -> None:
        """Return when all are DONE, each watched in turn: the last watcher wakes with the last task's event."""
        for task in tasks:
            await self._done(task)

    async def _done(self, task: str) -> None:
        if (await self.call("GET", f"/api/tasks/{task}"))["stage"] == "DONE":
            return
        async for event in self.watch(task):
            if event["type"] == "stage" and event["stage"] == "DONE":
                return
            if event["type"] == "failed":
                raise RuntimeError(f"Task {task} failed: {event}")

    # What every arm does

    async def burst(self, tasks: int, steps: int) -> None:
        ids = await asyncio.gather(*(self.create(steps) for _ in range(tasks)))
        # The newest first: when it is done, most are, and those need but one request.
        await asyncio.wait_for(self.until_done(ids[::-1]), 300)

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self._done(await self.create(steps))
        return time.perf_counter() - start

    async def stop(self) -> None:
        while not self._idle.empty():
            self._idle.get_nowait().close()


def moment(event: dict[str, Any]) -> float:
    """An event's time of commit in seconds of the epoch."""
    return datetime.fromisoformat(event["at"]).timestamp()
