"""A stack of the folder's own: its worker knows the asking agents."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from pavo.config import Settings
from tests.driving import Tasks
from tests.gates.asking import ADA, Asked, Own
from tests.gates.asking_agents import install
from tests.parts import Parts, free_port
from tests.ui.conftest import browser as browser
from tests.ui.conftest import page as page


@pytest_asyncio.fixture(scope="package")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"asking-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_WORKER_TASKS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # these agents tell the test by a file of its own
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.fixture
def asked(own: Own, tmp_path: Path) -> Asked:
    return Asked(own, tmp_path / "notes")


@pytest.fixture
def stack_settings(settings: Settings) -> Settings:
    """The stack's, for tests where `settings` is somebody else's name."""
    return settings
