"""What is done with each message of an agent. Whatever it sends, only what is its own is touched, and nothing once it
has a newer session: whoever has that sends again what was not acknowledged."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import InvalidInput, Unavailable
from pavo.fleet.logs.intake import LogIntake
from pavo.fleet.logs.lines import lines_of
from pavo.fleet.sessions.greeting import attempt_of, with_capabilities
from pavo.fleet.sessions.session import DISPLACED, Ending, LogTail, Session
from pavo.fleet.work.outcomes import commit_of
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.contracts import KEEP_LATE_WORK
from pavo.jobs.late import repository as late_work
from pavo.jobs.sql import commands
from pavo.jobs.sql.commands import NewResult, ReportedStage
from pavo.jobs.sql.transitions import SHOWN_BY_AGENTS
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import MAX_BODY_BYTES
from pavo.protocol.texts import make_storable
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

logger = logging.getLogger(__name__)
_T = TypeVar("_T")

CREDIT_SLACK: Final = 2
"""Times its credit that an agent may send before it counts as one that floods: two sides may count a little unlike."""
MAX_STAGES: Final = 1_000
"""Commands of which is remembered what was shown last."""
TRIES: Final = 3
"""Of a write that a lock or a deadlock kept."""


class _Displaced(Exception):
    """A newer session of the agent has begun."""


class Messages:
    """Belongs to one event loop."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        intake: LogIntake,
        tell_queue: Callable[[uuid.UUID | None], None],
    ) -> None:
        self._database, self._publisher, self._intake, self._tell_queue = database, publisher, intake, tell_queue
        self._takers: Mapping[str, Callable[[Session, Any], Awaitable[None]]] = {
            "ping": self._ping,
            "pong": self._pong,
            "accepted": self._accepted,
            "result": self._result,
            "log": self._log,
            "working": self._working,
            "goodbye": self._goodbye,
            "changed": self._changed,
        }

    async def take(self, session: Session, message: pb.FromAgent) -> None:
        """Do what a message asks for. What PostgreSQL keeps from being done is answered by nothing: the agent says it
        again."""
        name = message.WhichOneof("message")
        taker = self._takers.get(name or "")
        if taker is None:
            if name is not None:  # a second Hello; what this build does not know is ignored
                session.end(Ending("A session begins with one Hello.", "Upgrade the agent program.", come_back=False))
            return
        said = getattr(message, name or "")
        if name != "log":  # which is cleaned line by line
            make_storable(said)
        try:
            await taker(session, said)
        except InvalidInput as error:
            session.end(Ending(f"{error.field}: {error.detail}", error.remedy or "", come_back=False))
        except _Displaced:
            session.end(DISPLACED)
        except Unavailable as error:
            logger.info("A message (%s) of agent %s is left: %s", name, session.opened.name, error)

    async def _ping(self, session: Session, message: pb.Ping) -> None:
        session.send(pb.ToAgent(pong=pb.Pong(number=message.number)))

    async def _pong(self, session: Session, message: pb.Pong) -> None:
        session.take_pong(message.number)

    async def _goodbye(self, session: Session, message: pb.Goodbye) -> None:
        logger.info("Agent %s says goodbye: %s", session.opened.name, message.reason[:200])
        session.end(Ending("As you wish.", come_back=False))

    async def _accepted(self, session: Session, message: pb.Accepted) -> None:
        found = _id(message.command_id)
        if found is None:
            return
        async with self._database.transaction() as transaction:
            await _check_newest(transaction, session)
            await commands.accepted(transaction, found, session.opened.agent_id)

    async def _result(self, session: Session, message: pb.Result) -> None:
        found = _id(message.command_id)
        if found is None or message.ByteSize() > MAX_BODY_BYTES:
            told = f"A result names no command, or is larger than {MAX_BODY_BYTES:,} bytes."
            raise InvalidInput(told, field="result", remedy="Send less; upgrade the agent program.")
        agent_id = session.opened.agent_id
        cleaned = attempt_of(message.job_id, message.epoch) if message.HasField("cleaned") else None
        finished = message.HasField("executed")
        new = NewResult(found, agent_id, message.SerializeToString(), *commit_of(message), finished=finished)

        async def keep() -> tuple[commands.ResultKept, Sequence[Event]]:
            async with self._database.transaction() as transaction:
                await _check_newest(transaction, session)
                if cleaned is not None:
                    await sessions.pay_debt(transaction, agent_id, cleaned)
                kept = await commands.keep_result(transaction, new)
                if kept.own and kept.kind == KEEP_LATE_WORK and kept.job_id is not None:
                    return kept, await late_work.settle(transaction, kept.job_id, kept.epoch, message)
                return kept, ()

        kept, told = await _again(keep)
        self._publisher.publish(told)
        if kept.known and not kept.own:
            session.end(
                Ending("It answered a command that was given to another agent.", "Upgrade the agent program.", False)
            )
            return
        metrics.GATEWAY_RESULTS.add("unknown" if not kept.known else "kept" if kept.first else "again")
        session.send(pb.ToAgent(result_ack=pb.ResultAck(command_id=message.command_id)))
        session.take_result(message)

    async def _working(self, session: Session, message: pb.Working) -> None:
        held, command = attempt_of(message.job_id, message.epoch), _id(message.command_id)
        if held is None or command is None:
            return
        session.works_at(message.job_id, message.epoch, message.command_id)
        stage = message.stage
        if stage not in SHOWN_BY_AGENTS or session.stages.get(message.command_id) == stage:
            return
        told = ReportedStage(held.job_id, held.epoch, session.opened.agent_id, command, stage)

        async def show() -> None:
            async with self._database.transaction() as transaction:
                await _check_newest(transaction, session)
                events = await commands.show_stage(transaction, told)
            self._publisher.publish(events)

        await _again(show)
        if len(session.stages) < MAX_STAGES:
            session.stages[message.command_id] = stage

    async def _log(self, session: Session, message: pb.LogChunk) -> None:
        if not message.lines:
            return
        size = message.ByteSize()
        if session.log_bytes + size > CREDIT_SLACK * session.log_credit:
            raise InvalidInput(
                f"More than {session.log_credit:,} bytes of log are not acknowledged.",
                field="log",
                remedy="Wait for LogAck; upgrade the agent program.",
            )
        tail = await self._tail(session, message)
        if tail is None:
            return
        lines = lines_of(message, tail)
        session.works_at(message.job_id, message.epoch)
        session.log_bytes += size
        await self._intake.take(session, (tail.job_id, tail.epoch), lines, size)

    async def _tail(self, session: Session, message: pb.LogChunk) -> LogTail | None:
        """Of the attempt; None: its job is gone, and the lines with it.

        Raises:
            InvalidInput: it is another agent's.
        """
        key = message.job_id, message.epoch
        if key in session.tails:
            return session.tails[key]
        held = attempt_of(message.job_id, message.epoch)
        if held is None:
            raise InvalidInput("Log lines of no attempt came.", field="log", remedy="Upgrade the agent program.")
        owner = await self._owner(held)
        if owner is None:
            ack = pb.LogAck(job_id=message.job_id, epoch=message.epoch, seq=message.lines[-1].seq)
            ack.credit = session.log_credit
            session.send(pb.ToAgent(log_ack=ack))
            return None
        if owner != session.opened.agent_id:
            raise InvalidInput(
                "It sent log lines of an attempt that is another agent's.", field="log", remedy="Upgrade the program."
            )
        async with self._database.transaction() as transaction:
            await _check_newest(transaction, session)
            kept = await sessions.what_is_kept(transaction, session.opened.agent_id, [held])
        tail = session.tails[key] = LogTail(held.job_id, held.epoch, kept[0].acked)
        return tail

    async def _owner(self, held: HeldJob) -> uuid.UUID | None:
        async with self._database.reading() as reading:
            return await sessions.agent_of(reading, held)

    async def _changed(self, session: Session, message: pb.Capabilities) -> None:
        found = with_capabilities(session.hello, message)
        async with self._database.transaction() as transaction:
            await sessions.change_capabilities(transaction, session.opened, found)
        self._tell_queue(session.opened.organisation_id)


async def _check_newest(transaction: AsyncSession, session: Session) -> None:
    """Write nothing for a stream that has been left: its end may not have come yet."""
    if not await sessions.is_newest(transaction, session.opened):
        raise _Displaced


async def _again(write: Callable[[], Awaitable[_T]]) -> _T:
    """Repeat a write that others kept from being done, such as a deadlock."""
    for left in range(TRIES - 1, -1, -1):
        try:
            return await write()
        except Unavailable:
            if not left:
                raise
            await asyncio.sleep(0.1)
    raise AssertionError("unreachable")


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text) if len(text) == 36 else None
    except ValueError:
        return None
