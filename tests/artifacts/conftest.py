"""A stack of the folder's own: its worker knows the keeping agents."""

import os
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from tests.artifacts.bucket import bucket as bucket
from tests.artifacts.keeper import apart as apart
from tests.artifacts.keeper import dying as dying
from tests.artifacts.keeper import keeper as keeper
from tests.artifacts.keeping import ADA, Kept, Own
from tests.artifacts.keeping_agents import install
from tests.driving import Tasks
from tests.parts import Parts, free_port


@pytest_asyncio.fixture(scope="package")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    # The store of all workers on this database: one with another would take notes of what it cannot remove.
    folder, store = tmp_path_factory.mktemp("plugins"), Path(parts.environment["PAVO_ARTIFACTS_FOLDER"])
    install(folder)
    queue, port = f"keeping-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment |= {"PAVO_ARTIFACTS_TASK_MB": "5", "PAVO_ARTIFACTS_ORGANISATION_MB": "40"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment["PAVO_RUN_COMMAND"] = "any"
    environment["PAVO_AGENT_CONFINEMENT"] = "off"  # these agents look at a folder of the test's
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": ADA}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker, store)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.fixture
def kept(own: Own, tmp_path: Path) -> Kept:
    return Kept(own, tmp_path)
