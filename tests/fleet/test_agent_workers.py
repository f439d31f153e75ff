"""The workers of sessions: one that ends by an error begins again, until its session is over."""

import asyncio
import uuid
from datetime import timedelta
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.service import RPCError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from pavo.fleet.sessions.session import OpenSessions
from pavo.fleet.work.activities import PING_FAILED, FleetActivities
from pavo.fleet.work.agent_workers import LONGEST_PAUSE, AgentWorkers, QueueWorker, pause_after
from pavo.jobs import contracts as c
from pavo.jobs.agents.sessions import OpenSession
from pavo.kit.sql import Database
from pavo.temporal.activities import implementations
from tests.driving import until
from tests.fleet.attempt_workflow import Pinging
from tests.parts import Stores


def opened_session() -> OpenSession:
    agent_id = uuid.uuid4()
    return OpenSession(agent_id, None, "builder", 1, f"agent-{agent_id}-1")


async def test_a_sessions_worker_that_ends_by_an_error_begins_again(
    stores: Stores, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Its namespace is not there yet, which ends a worker at once."""
    namespace = f"late-{uuid.uuid4().hex[:8]}"
    client = await Client.connect(stores.temporal_address, namespace=namespace)
    workers = AgentWorkers(client, FleetActivities(database, OpenSessions()), uuid.uuid4())
    opened = opened_session()
    try:
        workers.begin(opened)

        async def has_failed() -> bool:
            return f"The worker of {opened.queue} has ended" in caplog.text

        await until(has_failed, what="the end of the first worker")
        await register(client, namespace)
        queue = uuid.uuid4().hex
        async with Worker(client, task_queue=queue, workflows=[Pinging], workflow_runner=UnsandboxedWorkflowRunner()):
            assert await pinged(client, queue, opened) == PING_FAILED, "taken: no such session is here"
            workers.end(opened)
    finally:
        await workers.close()


async def test_a_worker_that_fails_ends_with_its_session(
    stores: Stores, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    client = await Client.connect(stores.temporal_address, namespace=f"never-{uuid.uuid4().hex[:8]}")
    workers = AgentWorkers(client, FleetActivities(database, OpenSessions()), uuid.uuid4())
    opened = opened_session()
    workers.begin(opened)

    async def fails_again() -> bool:
        return caplog.text.count(f"The worker of {opened.queue} has ended") >= 2

    await until(fails_again, what="two failures")
    before = {task.get_name() for task in asyncio.all_tasks()}
    assert opened.queue in before
    workers.end(opened)
    await workers.close()
    assert opened.queue not in {task.get_name() for task in asyncio.all_tasks()}


async def test_a_worker_that_could_not_begin_begins_later(
    stores: Stores, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """Temporal has answered, and is away a moment later, when the worker looks whether it may begin."""
    namespace = f"late-{uuid.uuid4().hex[:8]}"
    client = await Client.connect(stores.temporal_address, namespace=namespace)
    opened = opened_session()

    def make(client: Client) -> Worker:
        activities = list(implementations(FleetActivities(database, OpenSessions())))
        return Worker(client, task_queue=opened.queue, activities=activities)

    async def answers() -> None:
        """As it did a moment ago."""

    worker = QueueWorker(opened.queue, make, client, answers)
    try:

        async def has_failed() -> bool:
            return caplog.text.count(f"The worker of {opened.queue} has ended") >= 2

        await until(has_failed, what="two failures")
        await register(client, namespace)
        queue = uuid.uuid4().hex
        async with Worker(client, task_queue=queue, workflows=[Pinging], workflow_runner=UnsandboxedWorkflowRunner()):
            assert await pinged(client, queue, opened) == PING_FAILED, "taken: no such session is here"
    finally:
        await worker.end()


class Scripted:
    """In the place of Temporal's worker: the first ends by an error in the middle of its work."""

    made = 0

    def __init__(self) -> None:
        Scripted.made += 1
        self.number, self.over = Scripted.made, asyncio.Event()

    _started = True
    """It has run, and is not begun a second time."""

    async def run(self) -> None:
        if self.number == 1:
            raise RuntimeError("a poll was refused")
        await self.over.wait()

    async def shutdown(self) -> None:
        self.over.set()


async def test_a_worker_that_fails_in_the_middle_is_followed_by_another_one(temporal: Client) -> None:
    async def answers() -> None:
        """Temporal is there."""

    def make(_: Client) -> Any:
        return Scripted()

    worker = QueueWorker("a-queue", make, temporal, answers)

    async def second() -> bool:
        return Scripted.made == 2

    await until(second, what="the second worker")
    await worker.end()
    assert Scripted.made == 2


def test_pauses_grow_and_are_bounded() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]
    assert pause_after(1_000_000) == LONGEST_PAUSE


async def register(client: Client, namespace: str) -> None:
    """Make the namespace, and wait until it is known."""
    keep = Duration()
    keep.FromTimedelta(timedelta(days=1))
    request = RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=keep)
    await client.workflow_service.register_namespace(request)

    async def is_known() -> bool:
        try:
            await client.count_workflows()
        except RPCError:
            return False
        return True

    await until(is_known, what="the namespace")


async def pinged(client: Client, queue: str, opened: OpenSession) -> str | None:
    """Have the session's queue greet its agent; the type of the error that comes of it."""
    request = c.Ping(str(opened.agent_id), opened.number)

    async def answered() -> str | None:
        with pytest.raises(WorkflowFailureError) as failed:
            await client.execute_workflow(
                Pinging.run, args=[request, opened.queue], id=uuid.uuid4().hex, task_queue=queue
            )
        cause = failed.value.cause.__cause__ if isinstance(failed.value.cause, ActivityError) else None
        return cause.type if isinstance(cause, ApplicationError) else None  # else nobody has taken it yet

    return await until(answered, what="an answer")
