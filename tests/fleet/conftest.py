"""A gateway process, and what an agent needs to connect to it."""

import base64
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from pydantic import SecretStr
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from pavo.config import SealingSettings, Settings
from pavo.jobs import contracts as c
from pavo.kit.sql import Database
from tests.fleet.attempt_workflow import Cancelling, OneCommand, Pinging
from tests.fleet.rows import Job, Rows
from tests.forges.conftest import repository, small_forge  # noqa: F401
from tests.parts import Part, Parts, free_port

SEALING_KEY = base64.b64encode(b"k" * 32).decode()


@dataclass(frozen=True)
class Gateway:
    """A gateway process."""

    part: Part
    address: str


async def start_gateway(parts: Parts, port: int = 0, **settings: str) -> Gateway:
    """Start one more."""
    port = port or free_port()
    settings = {"PAVO_GATEWAY_PING_SECONDS": "1", "PAVO_GATEWAY_SILENCE_SECONDS": "4"} | settings
    part = await parts.start("gateway", command=True, PAVO_GATEWAY_PORT=str(port), **settings)
    return Gateway(part, f"127.0.0.1:{port}")


@pytest.fixture(scope="session")
def sealed(settings: Settings) -> Settings:
    """The settings of the gateway, with a key that seals secrets."""
    return settings.model_copy(update={"sealing": SealingSettings(key=SecretStr(SEALING_KEY))})


@pytest_asyncio.fixture(scope="session")
async def gateway(parts: Parts) -> Gateway:
    """The gateway that most tests share."""
    return await start_gateway(parts, PAVO_SEALING_KEY=SEALING_KEY, PAVO_PUBLIC_URL="https://pavo.example/")


@pytest_asyncio.fixture
async def rows(database: Database) -> Rows:
    """An organisation of the test's own."""
    return await Rows.make(database)


@pytest_asyncio.fixture
async def stranger_rows(database: Database) -> Rows:
    """Another organisation."""
    return await Rows.make(database)


@dataclass(frozen=True)
class Commands:
    """Has agents carry out commands, as workflows of jobs do."""

    temporal: Client
    queue: str

    async def start(self, job: Job, queue: str, kind: str = c.START_EXECUTION, **more: Any) -> WorkflowHandle[Any, Any]:
        """A workflow that has one carried out on this queue; its id is that of the job's attempt."""
        request = c.RunCommand(job.id, job.epoch, kind, **more)
        return await self.temporal.start_workflow(
            OneCommand.run, args=[request, queue], id=_name(job, kind, more), task_queue=self.queue
        )


@pytest_asyncio.fixture(scope="session")
async def commands(temporal: Client) -> AsyncIterator[Commands]:
    """A worker of such workflows."""
    queue = f"fleet-{uuid.uuid4().hex[:8]}"
    async with Worker(
        temporal,
        task_queue=queue,
        workflows=[OneCommand, Cancelling, Pinging],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        yield Commands(temporal, queue)


def _name(job: Job, kind: str, more: dict[str, Any]) -> str:
    """Of the job's own workflow for the usual command; others have names of their own."""
    return job.workflow_id if kind == c.START_EXECUTION and not more else f"{job.workflow_id}:{kind}:{more}"
