"""A stack of the folder's own: its worker knows the calling agents and their tools."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks
from tests.parts import Parts, free_port
from tests.tools.calling import ADA, Called, Own
from tests.tools.calling_agents import install
from tests.ui.conftest import browser as browser
from tests.ui.conftest import page as page


@pytest_asyncio.fixture(scope="package")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"calling-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # these agents look at a folder of the test's
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.fixture
def called(own: Own, tmp_path: Path) -> Called:
    return Called(own, tmp_path)
