"""An isolated agent of a real worker: it reads neither the deployment's secrets nor other tasks' folders, and its own
goes with the task."""

import json
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.agents.confinement.landlock import version
from tests.agents.prying_agents import install
from tests.driving import Tasks, until
from tests.parts import Part, Parts, free_port


@dataclass
class Own:
    """An API and a worker of a deployment with a data directory."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    worker: Part
    data: Path

    async def pried(self, *read: Path) -> tuple[str, dict[str, Any]]:
        """A task and what its agent found."""
        options = {"read": [str(path) for path in read]}
        path = await self.tasks.started(options, agent_type="prying", auto_accept=True)
        await self.tasks.wait(path, "DONE")
        (report,) = [each for each in await self.tasks.documents(path) if each["kind"] == "REPORT"]
        return path, json.loads(report["body"])

    async def again(self, **more: str) -> None:
        """Another worker in place of this one, which is killed."""
        self.worker.kill()
        self.worker.end()
        self.worker = await self.parts.start("worker", **{**self.environment, **more})


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder, data = tmp_path_factory.mktemp("plugins"), tmp_path_factory.mktemp("data")
    install(folder)
    (data / "secrets.json").write_text("the deployment's")
    queue, port = f"confined-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port, "PAVO_DATA_DIR": str(data)}
    environment |= {"PAVO_AGENT_PATHS": "", "PAVO_AGENT_FOLDERS": "", "OPENAI_API_KEY": "x", "OTHER_API_KEY": "y"}
    environment["PAVO_AGENT_ENVIRONMENT"] = "OPENAI_API_KEY"
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker, api = await parts.start("worker", **environment), await parts.start("api", **environment)
    headers = {"X-User-Email": "confined@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        stack = Own(Tasks(client), parts, environment, worker, data)
        yield stack
    for process in (stack.worker, api):
        process.end()


@pytest.mark.skipif(not version(), reason="This kernel has no Landlock.")
async def test_it_reads_neither_secrets_nor_other_tasks(own: Own) -> None:
    first, told = await own.pried()
    kept = own.data / "agents" / first / "kept"
    assert told["cwd"] == str(kept.parent) and kept.read_text() == "x"
    _, told = await own.pried(own.data / "secrets.json", kept)
    assert list(told["read"].values()) == ["PermissionError"] * 2
    assert told["environment"]["OPENAI_API_KEY"] == "x"
    assert not {"OTHER_API_KEY", "DATABASE_URL", "REDIS_URL"} & set(told["environment"])
    assert not [line for line in told["at start"] if line.startswith(("OTHER_", "DATABASE_", "REDIS_", "PAVO_"))]
    assert "Isolated agents are confined by Landlock" in own.worker.log.read_text()


async def test_a_deleted_tasks_folder_goes_also_where_its_worker_is_dead(own: Own) -> None:
    path, _ = await own.pried()
    other, _ = await own.pried()
    foreign = own.data / "agents" / str(uuid.uuid4())  # another database's, which shares the folder
    foreign.mkdir()
    answer = await own.tasks.client.delete(f"/api/tasks/{path}")
    assert answer.status_code == 204
    await own.again()

    async def gone() -> bool:
        return not (own.data / "agents" / path).exists()

    await until(gone, what="the removal of the folder")
    assert (own.data / "agents" / other / "kept").exists() and foreign.exists()


async def test_a_worker_says_that_it_does_not_confine(own: Own) -> None:
    await own.again(PAVO_AGENT_CONFINEMENT="off")
    secrets = own.data / "secrets.json"
    _, told = await own.pried(secrets)
    assert told["read"] == {str(secrets): "the deployment's"}
    assert "Isolated agents are not confined (PAVO_AGENT_CONFINEMENT=off)" in own.worker.log.read_text()
