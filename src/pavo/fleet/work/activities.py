"""What workflows have remote agents do: each activity is carried out by the gateway that holds the agent's stream."""

import asyncio
import uuid
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity
from temporalio.exceptions import ApplicationError

from pavo.fleet.sessions.session import OpenSessions, Session, SessionEnded, Waiter
from pavo.fleet.work.documents import document_of
from pavo.fleet.work.outcomes import outcome_of
from pavo.jobs import contracts as c
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.models import budget_spent
from pavo.jobs.sql import commands
from pavo.jobs.sql.commands import NewResult, StoredCommand
from pavo.jobs.sql.results import parsed
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import MAX_BODY_BYTES

PING_SECONDS: Final = 5.0
PING_FAILED: Final = "PingFailed"
COMMAND_TOO_LARGE: Final = "CommandTooLarge"


def session_lost() -> ApplicationError:
    """The agent has no stream here: the workflow asks where it is."""
    return ApplicationError("The agent's stream has ended.", type=c.SESSION_LOST, non_retryable=True)


def lease_lost() -> ApplicationError:
    """The attempt is over, or was lost."""
    return ApplicationError("The attempt does not hold the job.", type=c.LEASE_LOST, non_retryable=True)


class FleetActivities(c.CommandActivities, c.PingActivities):
    """Belongs to one event loop.

    Args:
        api_url: of the API, as people reach it; empty: nothing is linked there.
    """

    def __init__(self, database: Database, open_sessions: OpenSessions, api_url: str = "") -> None:
        self._database, self._sessions, self._api_url = database, open_sessions, api_url

    @activity.defn(name="run_agent_command")
    async def run_agent_command(self, request: c.RunCommand) -> c.CommandOutcome:
        """See `CommandActivities`."""
        session = self._session(await self._agent(request.job_id, request.epoch))
        with session.expecting(request.command_id, request.job_id, request.epoch) as waiter:
            stored = await self._written(request)
            if stored.result is not None:
                return await self._outcome(request, parsed(stored.result) or pb.Result())
            command = pb.Command()
            command.ParseFromString(stored.request)
            if not session.send(pb.ToAgent(command=command)):
                raise session_lost()
            metrics.GATEWAY_COMMANDS.add(request.kind)
            async with self._database.transaction() as transaction:
                await commands.sent(transaction, request.command_id)
            return await self._outcome(request, await _result(waiter))

    @activity.defn(name="cancel_agent_job")
    async def cancel_agent_job(self, request: c.JobInput) -> None:
        """See `CommandActivities`."""
        session = self._session(await self._agent(request.job_id, request.epoch))
        cancel = pb.Cancel(job_id=request.job_id, epoch=request.epoch, reason="The job was cancelled.")
        if not session.send(pb.ToAgent(cancel=cancel)):
            raise session_lost()

    @activity.defn(name="ping_agent")
    async def ping_agent(self, request: c.Ping) -> float:
        """See `PingActivities`."""
        session = self._sessions.of(uuid.UUID(request.agent_id))
        if session is None or session.opened.number != request.session:
            raise ApplicationError("This session is not here.", type=PING_FAILED, non_retryable=True)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        try:
            async with asyncio.timeout(PING_SECONDS):
                await session.ping()
        except (TimeoutError, SessionEnded) as error:
            told = f"The agent did not answer within {PING_SECONDS:g} s."
            raise ApplicationError(told, type=PING_FAILED, non_retryable=True) from error
        return loop.time() - begun

    async def _agent(self, job_id: str, epoch: int) -> uuid.UUID | None:
        async with self._database.reading() as reading:
            return await sessions.agent_of(reading, HeldJob(uuid.UUID(job_id), epoch))

    async def _outcome(self, request: c.RunCommand, result: pb.Result) -> c.CommandOutcome:
        """What came of it; where a budget kept the program from its models, that, whatever it says of itself."""
        outcome = outcome_of(request.kind, result)
        if request.kind in (c.START_EXECUTION, c.MAKE_PLAN) and outcome.kind != c.OUTCOME_CANCELLED:
            async with self._database.reading() as reading:
                if await budget_spent.is_spent(reading, uuid.UUID(request.job_id), request.epoch):
                    return c.CommandOutcome(c.OUTCOME_FAILED, error=budget_spent.BUDGET_SPENT)
        return outcome

    def _session(self, agent_id: uuid.UUID | None) -> Session:
        session = self._sessions.of(agent_id)
        if session is None:
            raise session_lost()
        return session

    async def _written(self, request: c.RunCommand) -> StoredCommand:
        """The command as it was written first; written now, where it is new."""
        async with self._database.transaction() as transaction:
            stored = await commands.find(transaction, request.command_id)
            if stored is None:
                job = await commands.job_of(transaction, uuid.UUID(request.job_id), request.epoch)
                if job is None or not job.holds:
                    raise lease_lost()
                document = await document_of(transaction, request, job, self._api_url)
                if len(document) > MAX_BODY_BYTES:
                    return await _refused(transaction, request, job.agent_id, len(document))
                stored = await commands.put(transaction, request, document)
        if stored is None:
            raise lease_lost()
        return stored


async def _refused(
    transaction: AsyncSession, request: c.RunCommand, agent_id: uuid.UUID | None, size: int
) -> StoredCommand:
    """A command that no message takes has failed before it was sent: its result says why."""
    cause = f"The command has {size:,} bytes; the protocol takes {MAX_BODY_BYTES:,}."
    failure = pb.Failure(type=COMMAND_TOO_LARGE, cause=cause, remedy="Shorten the job's prompt and feedback.")
    result = pb.Result(command_id=request.command_id, job_id=request.job_id, epoch=request.epoch, failure=failure)
    await commands.put(transaction, request, b"")
    if agent_id is not None:
        new = NewResult(uuid.UUID(request.command_id), agent_id, result.SerializeToString())
        await commands.keep_result(transaction, new)
    return StoredCommand(b"", result.SerializeToString())


async def _result(waiter: Waiter) -> pb.Result:
    """The result, however long it takes. Each sign of work of the agent is a heartbeat, and nothing else is."""
    while True:
        try:
            result = await waiter.next()
        except SessionEnded:
            raise session_lost() from None
        if result is not None:
            return result
        activity.heartbeat()
