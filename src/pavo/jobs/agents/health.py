"""The health of remote agents: pings, what they tell, and when they rest.

Up to `SCHEDULED_AGENTS` agents each have a schedule of Temporal's, whose workflow pings it; those beyond are pinged by
rounds of their gateways, for a workflow a ping saturates a server at 69 a second. Both record by the same function.
Three failures in a row mean offline; then nobody pings the agent until its next Hello
([decision 75](../../../../docs/decisions/0075-pings-rest-while-nobody-is-there.md)).
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Final, Protocol

from temporalio import activity
from temporalio.client import Client

from pavo.errors import PavoError
from pavo.jobs.agents.health_contracts import HealthActivities, PingRecorded, PingTarget
from pavo.jobs.agents.health_workflow import PingAgent
from pavo.jobs.contracts import Ping
from pavo.jobs.sql import agent_health as sql
from pavo.jobs.sql.agent_health import Session
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.runs.schedules import (
    Scheduled,
    ensure_schedule,
    list_schedules,
    remove_schedule,
    rest_schedule,
    resume_schedule,
)
from pavo.temporal.failures import NoSuchRun

logger = logging.getLogger(__name__)

SCHEDULED_AGENTS: Final = 50
"""Pings by schedules are 3.3 workflows a second then, whatever is connected besides."""
PING_SECONDS: Final = 15
"""Between two pings of an agent."""
ANSWER_SECONDS: Final = 5.0
"""For the answer to one."""
SILENT_SECONDS: Final = 35.0
"""An agent that its gateway's rounds should have pinged, and that nobody has heard for so long: two rounds and some."""
RIGHT_EVERY: Final = 4
"""Looks of a worker at silent agents; then at the schedules."""
AT_ONCE: Final = 200
"""Pings of a round that are under way at the same time."""


class QueueLines(Protocol):
    """The second lines of the organisations' queues."""

    async def resume_line(self, organisation_id: uuid.UUID | None) -> None:
        """An agent of this organisation has come; None: one that serves all."""
        ...

    async def rest_line(self, organisation_id: uuid.UUID | None) -> None:
        """No agent of it is left."""
        ...


class AgentHealth(HealthActivities):
    """Records pings, and has the schedules of agents come, rest and go.

    Args:
        task_queue: on which the workflows of pings run; the schedules' ids have it in them.
        lines: the second lines of queues, which rest while no agent is there; None: they look after themselves.
    """

    def __init__(self, database: Database, temporal: Client, task_queue: str, lines: QueueLines | None = None) -> None:
        self._database = database
        self._temporal = temporal
        self._task_queue = task_queue
        self._lines = lines

    @activity.defn(name="look_at_agent")
    async def look_at_agent(self, agent_id: str) -> PingTarget:
        """Where this agent is to be pinged; one that is gone is not online."""
        return await sql.target_of(self._database, uuid.UUID(agent_id)) or PingTarget(online=False)

    @activity.defn(name="record_agent_ping")
    async def record_ping(self, request: PingRecorded) -> bool:
        """Whether the agent counts as online; a ping that is told twice counts once."""
        return any(each.online for each in await self._record([request]))

    @activity.defn(name="rest_agent_pings")
    async def rest_pings(self, agent_id: str) -> None:
        """Pause the agent's schedule, or remove it where the agent is gone, and the second line of its queue where no
        agent is left. One that has come meanwhile is resumed.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        agent = uuid.UUID(agent_id)
        found = await sql.standing_of(self._database, agent)
        if found is None:
            await self.forget(agent)
        elif not found.online:
            await rest_schedule(self._temporal, self._id(agent), "the agent is offline; its next Hello resumes this.")
            if not found.accompanied and self._lines is not None:
                await self._lines.rest_line(found.organisation_id)
            await self._look_again(agent, rested=not found.accompanied)

    async def _look_again(self, agent_id: uuid.UUID, *, rested: bool) -> None:
        """A Hello may have resumed what was not paused yet, before it was paused."""
        now = await sql.standing_of(self._database, agent_id)
        if now is not None and now.online:
            await self._resume(agent_id)
        elif now is not None and now.accompanied and rested and self._lines is not None:
            await self._lines.resume_line(now.organisation_id)

    async def came(self, agent_id: uuid.UUID) -> None:
        """A session of the agent was opened, and its row says that it is online: have it pinged again, and its queue
        looked at.

        Never raises for what is away: `put_right` makes up for it within a minute.
        """
        try:
            await self._resume(agent_id)
        except (PavoError, NoSuchRun) as error:
            logger.warning("The pings of agent %s are resumed later: %s", agent_id, error)

    async def left(self, agent_id: uuid.UUID) -> None:
        """The agent said goodbye, and its row says that it is offline: its pings rest. Raises as little as `came`."""
        try:
            await self.rest_pings(str(agent_id))
        except (PavoError, NoSuchRun) as error:
            logger.warning("The pings of agent %s are paused later: %s", agent_id, error)

    async def forget(self, agent_id: uuid.UUID) -> None:
        """The agent was removed: its schedule goes too. Where this is not reached, its next ping removes it.

        Raises:
            Unavailable: Temporal is away.
        """
        await remove_schedule(self._temporal, self._id(agent_id))

    async def put_right(self) -> None:
        """The second line: schedules that do not say what the rows say are resumed, paused or removed.

        Raises:
            Unavailable: PostgreSQL or Temporal is away.
        """
        prefix = self._prefix()
        there = {each.id.removeprefix(prefix): each for each in await list_schedules(self._temporal, prefix)}
        wanted = {str(agent_id) for agent_id in await sql.scheduled(self._database)}
        for name in wanted:
            if name not in there or there[name].paused:
                await self._resume(uuid.UUID(name))
        gone = await sql.gone(self._database, [uuid.UUID(name) for name in there])
        for name, each in there.items():
            if name not in wanted and (not each.paused or uuid.UUID(name) in gone):
                await self.rest_pings(name)

    async def keep_watching(self) -> None:
        """In every worker, without an end: count the silence of agents whose gateway died with them, and once a minute
        put right what schedules say."""
        looks = 0
        while True:
            await asyncio.sleep(PING_SECONDS)
            looks += 1
            try:
                await self.note_silent()
                if looks % RIGHT_EVERY == 0:
                    await self.put_right()
            except (PavoError, NoSuchRun) as error:
                logger.warning("The agents' health is looked after later: %s", error)

    async def note_silent(self) -> None:
        """Count one failure of each agent that rounds should have pinged, and that nobody has heard.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        found = await sql.silent(self._database, PING_SECONDS, SILENT_SECONDS)
        await self._record_and_rest(found)

    async def keep_pinging(self, gateway: uuid.UUID, ping: Callable[[Ping], Awaitable[float]]) -> None:
        """In every gateway, without an end: rounds over its agents that have no schedule.

        Args:
            ping: as `PingActivities.ping_agent`; whatever it raises is a failure.
        """
        while True:
            await asyncio.sleep(PING_SECONDS)
            try:
                await self.ping_round(gateway, ping)
            except PavoError as error:
                logger.warning("A round of pings was not recorded: %s", error)

    async def ping_round(self, gateway: uuid.UUID, ping: Callable[[Ping], Awaitable[float]]) -> None:
        """One round: ping them all, and record what came of it in one statement.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        turns, key = asyncio.Semaphore(AT_ONCE), f"round:{uuid.uuid4()}"

        async def one(each: Session) -> PingRecorded:
            async with turns:
                answered = await _answers(ping, Ping(str(each.agent_id), each.session))
                return PingRecorded(str(each.agent_id), each.session, not answered, key)

        sessions = await sql.in_rounds(self._database, gateway)
        await self._record_and_rest(await asyncio.gather(*(one(each) for each in sessions)))

    async def _record_and_rest(self, told: Sequence[PingRecorded]) -> None:
        for each in await self._record(told):
            if each.counted and not each.online:
                await self.left(each.agent_id)

    async def _record(self, told: Sequence[PingRecorded]) -> Sequence[sql.Recorded]:
        if not told:
            return []
        found = await sql.record(self._database, told)
        failed = {uuid.UUID(each.agent_id): each.failed for each in told}
        for each in found:
            if each.counted:
                metrics.AGENT_PINGS.add("failed" if failed[each.agent_id] else "answered")
            if each.counted and not each.online:
                metrics.AGENTS_LOST.add()
                logger.warning("Agent %s (%s) is offline: %s pings failed", each.name, each.agent_id, each.failed_pings)
        return found

    async def _resume(self, agent_id: uuid.UUID) -> None:
        chosen = await sql.choose(self._database, agent_id, SCHEDULED_AGENTS)
        if chosen is None:
            return
        organisation_id, has_schedule = chosen
        if has_schedule:
            await ensure_schedule(self._temporal, self._schedule(agent_id))
            await resume_schedule(self._temporal, self._id(agent_id))
        if self._lines is not None:
            await self._lines.resume_line(organisation_id)

    def _schedule(self, agent_id: uuid.UUID) -> Scheduled:
        return Scheduled(
            self._id(agent_id),
            PingAgent,
            self._task_queue,
            timedelta(seconds=PING_SECONDS),
            (str(agent_id),),
            timedelta(seconds=agent_id.int % PING_SECONDS),
        )

    def _id(self, agent_id: uuid.UUID) -> str:
        return f"{self._prefix()}{agent_id}"

    def _prefix(self) -> str:
        return f"pavo-agent:{self._task_queue}:"


async def _answers(ping: Callable[[Ping], Awaitable[float]], request: Ping) -> bool:
    """Whether the agent answers in time. The stream is the agent's: whatever goes wrong with it is a failure."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await ping(request)
    except Exception as error:  # noqa: BLE001 - a ping fails by any error, and is counted by that
        logger.info("Agent %s did not answer: %s", request.agent_id, error or type(error).__name__)
        return False
    return True
