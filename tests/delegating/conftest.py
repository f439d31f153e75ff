"""A stack of the folder's own: its worker knows the leading agents, and has one slot, in which no task can wait."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from pavo.kit.sql import Database
from tests.delegating.leading import Led, Own
from tests.delegating.leading_agents import install
from tests.driving import Tasks
from tests.parts import Parts, free_port


@pytest_asyncio.fixture(scope="package")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"leading-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_WORKER_TASKS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # these agents tell the test by a file of its own
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "ada.delegates@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.fixture
def led(own: Own, tmp_path: Path, database: Database) -> Led:
    return Led(own, tmp_path, database)
