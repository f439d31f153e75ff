"""The health of remote agents, on the real workflow, schedules and PostgreSQL: the properties of pings by name."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest_asyncio
from hypothesis import strategies as st
from sqlalchemy import delete, func, insert, select, update
from temporalio.client import Client, ScheduleActionStartWorkflow, WorkflowExecutionStatus
from temporalio.worker import Worker

from pavo.accounts.models import OrganisationRow
from pavo.config import Settings
from pavo.jobs.agents import health as module
from pavo.jobs.agents.health import PING_SECONDS, AgentHealth
from pavo.jobs.agents.health_contracts import PingRecorded
from pavo.jobs.agents.health_workflow import PingAgent
from pavo.jobs.contracts import Ping
from pavo.jobs.sql.models import RemoteAgentRow
from pavo.kit.sql import Database
from pavo.runs.schedules import list_schedules
from pavo.temporal.activities import implementations
from pavo.temporal.sandbox import Sandbox
from tests.drawing import examples
from tests.driving import until
from tests.jobs.pinged import Gateway

GATEWAY = uuid.UUID(int=7)


@dataclass
class Lines:
    """The second lines of queues, as far as health is concerned with them: what was asked, in order."""

    told: list[tuple[str, uuid.UUID | None]] = field(default_factory=list[tuple[str, uuid.UUID | None]])

    async def resume_line(self, organisation_id: uuid.UUID | None) -> None:
        self.told.append(("resumed", organisation_id))

    async def rest_line(self, organisation_id: uuid.UUID | None) -> None:
        self.told.append(("rests", organisation_id))


@dataclass
class Fleet:
    """Agents of one organisation, and a worker that pings them."""

    database: Database
    temporal: Client
    health: AgentHealth
    lines: Lines
    gateway: Gateway
    organisation: uuid.UUID
    queue: str

    async def agent(self, *, session: int = 1, queue: str | None = None, **more: Any) -> uuid.UUID:
        """One with a session at the gateway, as a Hello leaves it."""
        agent_id = uuid.uuid4()
        values = {
            "organisation_id": self.organisation,
            "online": True,
            "session": session,
            "gateway": GATEWAY,
            "queue": queue or self.queue,
            "seen_at": func.pavo_now(),
            **more,
        }
        async with self.database.transaction() as writing:
            await writing.execute(insert(RemoteAgentRow).values(id=agent_id, name=agent_id.hex, **values))
        return agent_id

    async def write(self, agent_id: uuid.UUID, **values: Any) -> None:
        async with self.database.transaction() as writing:
            await writing.execute(update(RemoteAgentRow).where(RemoteAgentRow.id == agent_id).values(**values))

    async def row(self, agent_id: uuid.UUID) -> RemoteAgentRow:
        async with self.database.reading() as reading:
            return (await reading.scalars(select(RemoteAgentRow).where(RemoteAgentRow.id == agent_id))).one()

    async def ping(self, agent_id: uuid.UUID) -> bool:
        """One ping's workflow, as the schedule starts it."""
        return await self.temporal.execute_workflow(
            PingAgent.run, str(agent_id), id=f"ping-{uuid.uuid4()}", task_queue=self.queue
        )

    def schedule_id(self, agent_id: uuid.UUID) -> str:
        return f"pavo-agent:{self.queue}:{agent_id}"

    async def paused(self, agent_id: uuid.UUID) -> bool:
        found = await self.temporal.get_schedule_handle(self.schedule_id(agent_id)).describe()
        return found.schedule.state.paused

    async def schedules(self) -> dict[str, bool]:
        """Which agents have one, and whether it is paused, as Temporal lists them."""
        prefix = f"pavo-agent:{self.queue}:"
        return {each.id.removeprefix(prefix): each.paused for each in await list_schedules(self.temporal, prefix)}


@pytest_asyncio.fixture
async def fleet(settings: Settings, temporal: Client, database: Database) -> AsyncIterator[Fleet]:
    queue, organisation = f"health-{uuid.uuid4().hex[:8]}", uuid.uuid4()
    async with database.transaction() as writing:
        await writing.execute(insert(OrganisationRow).values(id=organisation, name=queue))
    lines, gateway = Lines(), Gateway()
    health = AgentHealth(database, temporal, queue, lines)
    worker = Worker(
        temporal,
        task_queue=queue,
        workflows=[PingAgent],
        workflow_runner=Sandbox(),
        activities=[*implementations(health), *implementations(gateway)],
    )
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(worker)
        yield Fleet(database, temporal, health, lines, gateway, organisation, queue)
        for each in await list_schedules(temporal, f"pavo-agent:{queue}:"):
            await temporal.get_schedule_handle(each.id).delete()
    async with database.transaction() as writing:
        await writing.execute(delete(OrganisationRow).where(OrganisationRow.id == organisation))


SESSIONS = st.integers(1, 2**40)
OUTCOMES = st.lists(st.booleans(), min_size=1, max_size=8)
"""Of pings in a row: whether the agent answers."""


async def test_ping_sent(fleet: Fleet) -> None:
    """Whoever is online is pinged, with the id of its session, on the queue of that session; nobody else is."""

    async def check(example: tuple[int, bool]) -> None:
        session, online = example
        agent_id = await fleet.agent(session=session, online=online)
        before = len(fleet.gateway.pinged)
        assert await fleet.ping(agent_id) is online
        assert fleet.gateway.pinged[before:] == ([Ping(str(agent_id), session)] if online else [])

    await examples(st.tuples(SESSIONS, st.booleans()), check)


async def test_success_recorded(fleet: Fleet) -> None:
    """A ping that is answered resets the failures, and says when the agent was seen."""

    async def check(failed: int) -> None:
        agent_id = await fleet.agent(failed_pings=failed, seen_at=None)
        assert await fleet.ping(agent_id)
        row = await fleet.row(agent_id)
        assert (row.failed_pings, row.online) == (0, True) and row.seen_at is not None

    await examples(st.integers(0, 2), check)


async def test_failures_counted(fleet: Fleet) -> None:
    """Failures are counted in a row: each ping once, however often it is told, and of the present session alone."""

    async def check(outcomes: Sequence[bool]) -> None:
        agent_id = await fleet.agent(session=5)
        failed, seen = 0, (await fleet.row(agent_id)).seen_at
        for answers in outcomes:
            fleet.gateway.answers = answers
            online = await fleet.ping(agent_id)
            failed = 0 if answers else failed + 1
            row = await fleet.row(agent_id)
            assert (row.failed_pings, row.online, online) == (failed, failed < 3, failed < 3)
            assert answers or row.seen_at == seen
            seen = row.seen_at
            old = PingRecorded(str(agent_id), 4, failed=True, key=uuid.uuid4().hex)
            assert not await fleet.health.record_ping(old), "an older session is not online"
            again = PingRecorded(str(agent_id), 5, failed=True, key=row.last_ping)
            assert await fleet.health.record_ping(again) is row.online
            assert (await fleet.row(agent_id)).failed_pings == failed
            if not row.online:
                break

    await examples(OUTCOMES, check)


async def test_offline_after_three(fleet: Fleet) -> None:
    """Three failures in a row, and no fewer, mean offline; then only a Hello says that the agent is there."""

    async def check(outcomes: Sequence[bool]) -> None:
        agent_id = await fleet.agent()
        failed = 0
        for answers in outcomes:
            fleet.gateway.answers = answers
            failed = failed if failed == 3 else 0 if answers else failed + 1
            assert await fleet.ping(agent_id) is (failed < 3)
            row = await fleet.row(agent_id)
            stream = (None, None) if failed == 3 else (GATEWAY, fleet.queue)
            assert (row.online, row.gateway, row.queue) == (failed < 3, *stream)

    await examples(OUTCOMES, check)


async def test_schedules_paused(fleet: Fleet) -> None:
    """Offline: the agent's schedule is paused, its queue's second line too once no agent is left; a Hello resumes both,
    in whichever order they go."""
    first, second = await fleet.agent(), await fleet.agent()

    async def check(leaving: Sequence[uuid.UUID]) -> None:
        for agent_id in (first, second):
            await fleet.write(agent_id, online=True, failed_pings=2, queue=fleet.queue, gateway=GATEWAY)
            await fleet.health.came(agent_id)
        fleet.lines.told.clear()
        fleet.gateway.silent = {str(agent_id) for agent_id in leaving}
        assert [await fleet.paused(each) for each in (first, second)] == [False, False]
        for agent_id in leaving:
            await fleet.ping(agent_id)  # or the schedule's own ping has been quicker
            assert not (await fleet.row(agent_id)).online
            assert await fleet.paused(agent_id)
        assert set(fleet.lines.told) == ({("rests", fleet.organisation)} if len(leaving) == 2 else set())
        assert await fleet.paused(first) is (first in leaving) and await fleet.paused(second) is (second in leaving)

    orders = [(), (first,), (second,), (first, second), (second, first)]
    await examples(st.sampled_from(orders), check)
    await check((first, second))
    fleet.gateway.silent = set()
    await fleet.write(first, online=True, failed_pings=0, queue=fleet.queue, gateway=GATEWAY)
    await fleet.health.came(first)
    assert (await fleet.paused(first), await fleet.paused(second)) == (False, True)
    assert fleet.lines.told[-1] == ("resumed", fleet.organisation)


async def test_the_schedule_itself_pings_every_fifteen_seconds(fleet: Fleet) -> None:
    agent_id = await fleet.agent()
    await fleet.health.came(agent_id)
    handle = fleet.temporal.get_schedule_handle(fleet.schedule_id(agent_id))
    schedule = (await handle.describe()).schedule
    assert [each.every for each in schedule.spec.intervals] == [timedelta(seconds=15)]
    assert isinstance(schedule.action, ScheduleActionStartWorkflow)
    await handle.trigger()

    async def pinged() -> bool:
        return Ping(str(agent_id), 1) in fleet.gateway.pinged

    await until(pinged, what="a ping by the schedule")


async def test_nobody_on_the_queue_of_a_session_is_a_failure_within_five_seconds(fleet: Fleet) -> None:
    agent_id = await fleet.agent(queue=f"agent-{uuid.uuid4()}-1")
    async with asyncio.timeout(10):
        assert await fleet.ping(agent_id)
    assert (await fleet.row(agent_id)).failed_pings == 1


async def test_an_agent_whose_stream_is_dead_is_offline_though_it_renews(fleet: Fleet) -> None:
    """What it says beside its stream keeps its jobs, and says nothing about whether it can be told anything."""
    agent_id = await fleet.agent()
    await fleet.write(agent_id, queue=None, gateway=None)
    for left in (True, True, False):
        assert await fleet.ping(agent_id) is left
    assert not (await fleet.row(agent_id)).online and fleet.gateway.pinged == []


async def test_a_hello_while_the_pings_are_being_paused_wins(fleet: Fleet) -> None:
    agent_id = await fleet.agent()
    await fleet.health.came(agent_id)
    await fleet.write(agent_id, online=False)

    class Late(Lines):
        async def rest_line(self, organisation_id: uuid.UUID | None) -> None:
            await super().rest_line(organisation_id)
            await fleet.write(agent_id, online=True)  # its Hello, between the pauses

    lines = Late()
    racing = AgentHealth(fleet.database, fleet.temporal, fleet.queue, lines)
    await racing.rest_pings(str(agent_id))
    assert not await fleet.paused(agent_id)
    assert lines.told == [("rests", fleet.organisation), ("resumed", fleet.organisation)]


async def test_what_an_operator_paused_stays_paused(fleet: Fleet) -> None:
    agent_id = await fleet.agent()
    await fleet.health.came(agent_id)
    await fleet.temporal.get_schedule_handle(fleet.schedule_id(agent_id)).pause(note="maintenance of the building")
    await fleet.health.came(agent_id)
    assert await fleet.paused(agent_id)


async def test_the_schedule_of_an_agent_that_was_removed_goes(fleet: Fleet) -> None:
    agent_id = await fleet.agent()
    await fleet.health.came(agent_id)
    async with fleet.database.transaction() as writing:
        await writing.execute(delete(RemoteAgentRow).where(RemoteAgentRow.id == agent_id))
    assert not await fleet.ping(agent_id)
    await until(lambda: _empty(fleet), what="no schedule")


async def _empty(fleet: Fleet) -> bool:
    return await fleet.schedules() == {}


async def test_beyond_fifty_agents_rounds_of_their_gateway_ping(fleet: Fleet, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "SCHEDULED_AGENTS", 2)
    agents = [await fleet.agent() for _ in range(5)]
    for agent_id in agents:
        await fleet.health.came(agent_id)
    scheduled = [agent_id for agent_id in agents if (await fleet.row(agent_id)).scheduled]
    assert len(scheduled) == 2
    silent, pinged = agents[-1], list[str]()

    async def ping(request: Ping) -> float:
        pinged.append(request.agent_id)
        if request.agent_id == str(silent):
            raise ConnectionResetError("its stream")
        return 0.001

    for failed in (1, 2, 3):
        await fleet.health.ping_round(GATEWAY, ping)
        assert (await fleet.row(silent)).failed_pings == failed
    assert set(pinged) == {str(agent_id) for agent_id in agents} - {str(agent_id) for agent_id in scheduled}
    assert not (await fleet.row(silent)).online
    others = [await fleet.row(agent_id) for agent_id in agents[:-1]]
    assert all(row.online and row.failed_pings == 0 for row in others)
    pinged.clear()
    await fleet.health.ping_round(GATEWAY, ping)
    assert len(pinged) == 2, "who is offline is pinged no more"


async def test_an_agent_that_dies_with_its_gateway_is_offline_and_several_workers_count_once(fleet: Fleet) -> None:
    """Who is pinged by rounds has nobody left to ping it."""
    ago = func.pavo_now() - timedelta(minutes=2)
    agent_id, alive = await fleet.agent(seen_at=ago, connected_at=ago), await fleet.agent()
    await asyncio.gather(*(fleet.health.note_silent() for _ in range(4)))
    assert 1 <= (await fleet.row(agent_id)).failed_pings <= 2, "once, or twice where the moment's number just changed"
    for _ in range(3):
        await fleet.write(agent_id, last_ping="")  # fifteen seconds later
        await fleet.health.note_silent()
    assert not (await fleet.row(agent_id)).online and (await fleet.row(alive)).online


async def test_the_second_line_makes_schedules_say_what_the_rows_say(fleet: Fleet) -> None:
    missing, resting, gone, paused = [await fleet.agent() for _ in range(4)]
    for agent_id in (resting, gone, paused):
        await fleet.health.came(agent_id)
    await fleet.write(paused, online=False)
    await fleet.health.left(paused)
    await fleet.write(missing, scheduled=True)
    await fleet.write(resting, online=False)
    async with fleet.database.transaction() as writing:
        await writing.execute(delete(RemoteAgentRow).where(RemoteAgentRow.id.in_([gone, paused])))

    async def right() -> bool:
        await fleet.health.put_right()
        return await fleet.schedules() == {str(missing): False, str(resting): True}

    await until(right, what="the schedules to be right")


async def test_an_idle_day_begins_no_workflow_of_the_agents_health(fleet: Fleet) -> None:
    """Counted as the schedules would start them: nobody is connected, so every one of them is paused."""
    agents = [await fleet.agent() for _ in range(3)]
    for agent_id in agents:
        await fleet.health.came(agent_id)
        await fleet.write(agent_id, online=False)
        await fleet.health.left(agent_id)

    async def rest() -> bool:
        found = await fleet.schedules()
        return len(found) == 3 and all(found.values())

    await until(rest, what="three paused schedules")
    a_day = sum(
        timedelta(days=1) // timedelta(seconds=PING_SECONDS)
        for paused in (await fleet.schedules()).values()
        if not paused
    )
    assert a_day < 500
    assert fleet.lines.told[-1] == ("rests", fleet.organisation), "and nothing looks at its queue"
    begun = fleet.temporal.list_workflows(f"TaskQueue = '{fleet.queue}' AND ExecutionStatus = 'Running'")
    assert [each.id async for each in begun if each.status == WorkflowExecutionStatus.RUNNING] == []
