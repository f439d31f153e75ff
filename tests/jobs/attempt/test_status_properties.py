"""Properties of what Temporal knows of an attempt: it is told as it is, and asked as the settings say."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest_asyncio
from hypothesis import strategies as st
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError
from temporalio.worker import Worker

from pavo.config import JobSettings
from pavo.jobs import contracts as c
from pavo.jobs.attempt.recorder import JobRecorder
from pavo.jobs.attempt.reports import AttemptReports
from pavo.jobs.service import JobService
from pavo.jobs.workflow import CodingJob
from pavo.protocol.fleet_pb2 import Result
from pavo.runs.story import short_queue
from pavo.temporal.activities import implementations
from pavo.temporal.sandbox import Sandbox
from tests.drawing import examples
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import USUAL, executed, failure
from tests.jobs.queue.test_claims_machine import Silent

WALK = (c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST)
SILENT: Any = Silent()


async def test_workflow_status_answers_what_temporal_knows(given: Given, service: JobService) -> None:
    """Whatever has become of the workflow: its run, its status, how long its history is, and what it waits for."""

    async def held_at(kind: str, job: uuid.UUID) -> asyncio.Event:
        go = asyncio.Event()

        async def works(_: c.RunCommand) -> Result:
            await go.wait()
            return USUAL[kind]

        given.agent.asked.clear()
        given.agent.will(kind, works)
        return go

    async def told(job: uuid.UUID, handle: Any) -> Any:
        """What is answered, which is what Temporal says."""
        found, described = (await service.workflow_status(given.who, job)).workflow, await handle.describe()
        assert found is not None and (found.workflow_id, found.run_id) == (described.id, described.run_id)
        assert found.status == described.status.name.lower()
        pending = described.raw_description.pending_activities
        assert [each.activity for each in found.pending] == [each.activity_type.name for each in pending]
        assert [each.attempt for each in found.pending] == [each.attempt for each in pending]
        return found

    async def check(example: tuple[str, str]) -> None:
        kind, becomes = example
        given.agent.script.clear()
        job = await given.job()
        before = await service.workflow_status(given.who, job)
        assert (before.workflow, before.attempts, before.max_attempts) == (None, 1, 3)
        go = await held_at(kind, job)
        handle = await given.start(job)
        await given.until_asked(kind)
        found = await told(job, handle)
        assert (found.status, [each.activity for each in found.pending]) == ("running", ["run_agent_command"])
        if becomes == "terminated":
            await handle.terminate("by an operator")
        elif becomes == "cancelled":
            await handle.signal(CodingJob.cancel)
        go.set()
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()
        found = await told(job, handle)
        assert found.status != "running" and (found.status == "terminated") == (becomes == "terminated")
        assert becomes == "terminated" or found.pending == ()  # Temporal tells what one that it ended had waited for

    await examples(st.tuples(st.sampled_from(WALK), st.sampled_from(["completed", "cancelled", "terminated"])), check)


async def test_workflow_status_tells_why_it_failed(given: Given, service: JobService) -> None:
    """By the words of the agent."""

    async def check(name: str) -> None:
        given.agent.script.clear()
        job = await given.job()
        given.agent.will(c.START_EXECUTION, failure(name))
        with contextlib.suppress(WorkflowFailureError):
            await (await given.start(job)).result()
        told = await service.workflow_status(given.who, job)
        assert told.workflow is not None and told.workflow.status == "failed"
        assert told.error is not None and told.error["type"] == name

    await examples(st.sampled_from(["NoSpace", "ProgramFailed", "BadRepository"]), check, most=3)


class Configured(JobRecorder):
    """With settings that an example changes."""

    def configure(self, settings: JobSettings) -> None:
        self._settings = settings


@pytest_asyncio.fixture
async def configured(given: Given, temporal: Client) -> AsyncIterator[tuple[Given, Configured]]:
    """Jobs whose workflows run here, on a queue of their own."""
    reports = AttemptReports(given.database, SILENT, None, "USD")
    recorder = Configured(given.database, SILENT, SILENT.look, JobSettings(), reports)
    queue = f"configured-{uuid.uuid4().hex[:8]}"
    activities = implementations(recorder)
    serving = Worker(
        temporal, task_queue=queue, workflows=[CodingJob], activities=activities, workflow_runner=Sandbox()
    )
    async with serving, Worker(temporal, task_queue=short_queue(queue), activities=activities):
        own = Given(given.database, temporal, queue, given.who, given.agent, given.sessions, given.repository)
        yield own, recorder


async def test_heartbeat_time_out_configured(configured: tuple[Given, Configured]) -> None:
    """Five minutes of an agent's silence, or what the setting says for a kind of command."""
    given, recorder = configured

    async def check(wanted: Mapping[str, int]) -> None:
        told = ",".join(f"{kind}={seconds}" for kind, seconds in wanted.items())
        recorder.configure(JobSettings(PAVO_JOB_HEARTBEATS=told))  # type: ignore[call-arg]
        given.agent.script.clear()
        given.agent.will(c.START_EXECUTION, executed())
        handle = await given.start(await given.job())
        assert await handle.result() == "DONE"
        found: dict[str, float] = {}
        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                scheduled = event.activity_task_scheduled_event_attributes
                if scheduled.activity_type.name == "run_agent_command":
                    converter = given.temporal.data_converter.payload_converter
                    [request] = converter.from_payloads(scheduled.input.payloads, [c.RunCommand])
                    found[request.kind] = scheduled.heartbeat_timeout.ToTimedelta().total_seconds()
        usual = dict.fromkeys(WALK, 300.0) | {c.CLEANUP: 10.0}
        assert found == usual | {kind: float(seconds) for kind, seconds in wanted.items()}

    await examples(st.dictionaries(st.sampled_from(WALK), st.integers(2, 3_600), max_size=3), check)
