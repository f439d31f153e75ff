"""A stack of the adapters' own."""

import os
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from tests.driving import Tasks, until
from tests.parts import Part, Parts, free_port

KEY = "k" * 40


@dataclass
class Own:
    """A stack whose workers know the plug-ins of a folder."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part

    async def kill(self) -> None:
        """SIGKILL the worker, and start another."""
        self.worker.kill()
        self.worker = await self.parts.start("worker", **self.environment)

    async def recorded(self, task: str, count: int) -> None:
        """Wait until so many checkpoints are recorded."""

        async def far_enough() -> bool:
            return (await self.tasks.get(task))["steps"] >= count

        await until(far_enough, what=f"{count} checkpoints")

    async def gates(self, task: str, count: int) -> list[dict[str, Any]]:
        """The open questions of a task, once there are so many."""

        async def asked() -> list[dict[str, Any]]:
            answer = await self.tasks.client.get("/api/gates", params={"task_id": task, "state": "open"})
            items = answer.json()["items"]
            return items if len(items) == count else []

        return await until(asked, what=f"{count} questions")

    async def answer(self, gate: dict[str, Any], answer: Any) -> None:
        body = {"hash": gate["hash"], "answer": answer}
        assert (await self.tasks.client.post(f"/api/gates/{gate['id']}/answer", json=body)).status_code == 200


@asynccontextmanager
async def stack(parts: Parts, folder: Path, **settings: str) -> AsyncGenerator[Own]:
    """A worker and an API with the plug-ins of the folder."""
    queue, port = f"adapters-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_SECRET_KEY": KEY}
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # most of these agents write into a folder of the test's
    environment |= settings
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "ada.adapters@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        own = Own(Tasks(client), parts, environment, worker)
        yield own
    for process in (own.worker, api):
        process.end()
