"""A stack that knows the agents of `telling_agents`."""

import os
import uuid
from collections.abc import AsyncIterator

import httpx2
import pytest
import pytest_asyncio

from tests.driving import Tasks
from tests.parts import Parts, free_port
from tests.tasks.authors.telling_agents import install


@pytest_asyncio.fixture(scope="package")
async def authors_url(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[str]:
    folder = tmp_path_factory.mktemp("authors")
    install(folder)
    port = str(free_port())
    own = {"TEMPORAL_TASK_QUEUE": f"authors-{uuid.uuid4().hex[:8]}", "PAVO_PORT": port, "PAVO_LOG_LEVEL": "ERROR"}
    own["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    processes = [await parts.start("worker", **own), await parts.start("api", **own)]
    yield f"http://127.0.0.1:{port}"
    for process in processes:
        process.end()


@pytest_asyncio.fixture(scope="package")
async def authors(authors_url: str) -> AsyncIterator[Tasks]:
    """Ada, driving tasks of the agents that tell."""
    headers = {"X-User-Email": "ada@example.com"}
    async with httpx2.AsyncClient(base_url=authors_url, headers=headers, timeout=30) as client:
        yield Tasks(client)
