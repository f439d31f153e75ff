"""A worker and an API of a test file's own, which know its agents."""

import os
import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.driving import Tasks
from tests.parts import Part, Parts, free_port


@dataclass
class Own:
    """That stack, as its tests need it."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    """The present one: a test may take another in its place."""


def on_path(folder: Path) -> str:
    """PYTHONPATH with a folder of plug-ins before everything else."""
    return os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


@asynccontextmanager
async def own_stack(
    parts: Parts, name: str, environment: Mapping[str, str], *, user: str | None = None
) -> AsyncGenerator[Own]:
    """Start both on a task queue and a port of their own; they end in any case.

    Args:
        name: of the task queue.
        environment: more of it than the session's stack has.
        user: the e-mail address of whom `tasks` acts as.
    """
    port = str(free_port())
    found = {**environment, "TEMPORAL_TASK_QUEUE": f"{name}-{uuid.uuid4().hex[:8]}", "PAVO_PORT": port}
    begun = len(parts.running)
    try:
        worker = await parts.start("worker", **found)
        await parts.start("api", **found)
        headers = {"X-User-Email": user or f"{name}@example.com"}
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
            yield Own(Tasks(client), parts, found, worker)
    finally:
        for part in parts.running[begun:]:
            part.end()
