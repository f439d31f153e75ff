"""What connected agents owe of attempts that are over: lost work that is to be kept, then worktrees to be removed."""

import logging
import uuid
from typing import Final

from pavo.errors import Unavailable
from pavo.fleet.sessions.session import OpenSessions, Session
from pavo.fleet.work.documents import document_of
from pavo.jobs import contracts as c
from pavo.jobs.late import repository as late_work
from pavo.jobs.late.repository import Owed
from pavo.jobs.sql import commands
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb

logger = logging.getLogger(__name__)

MAX_TOLD: Final = 2_000
"""Commands of one session that are remembered to have been sent in it."""


class OwedWork:
    """Belongs to one event loop."""

    def __init__(self, database: Database, open_sessions: OpenSessions) -> None:
        self._database, self._sessions = database, open_sessions

    async def look(self) -> None:
        """Tell agents that are connected here what they owe, each thing once in a session.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        held = {each.opened.agent_id: each for each in self._sessions.all() if not each.is_over}
        if not held:
            return
        numbers = {agent_id: each.opened.number for agent_id, each in held.items()}
        async with self._database.reading() as reading:
            found = await late_work.owed_by(reading, numbers)
        told: list[tuple[Owed, int]] = []
        for owed in found:
            try:
                is_told = await self._tell(held[owed.agent_id], owed)
            except Unavailable:
                raise
            except Exception:  # others owe something, too
                logger.exception("What attempt %d at job %s owes cannot be told", owed.epoch, owed.job_id)
                is_told = True  # not in this session
            if is_told:
                told.append((owed, numbers[owed.agent_id]))
        if told:
            async with self._database.transaction() as transaction:
                await late_work.note_told(transaction, told)

    async def _tell(self, session: Session, owed: Owed) -> bool:
        """Whether there is nothing more to tell of it in this session."""
        if len(session.owed_told) >= MAX_TOLD:
            return False
        request = c.RunCommand(str(owed.job_id), owed.epoch, c.KEEP_LATE_WORK, attempt=owed.tries)
        told = request.command_id if owed.late else f"{owed.job_id}:{owed.epoch}"  # as the Welcome's debts are noted
        if told in session.owed_told:
            return True
        command = await self._to_keep(owed, request) if owed.late else _cleanup(owed, session.opened.number)
        if command is None:
            return True
        if not session.send(pb.ToAgent(command=command)):
            return False
        session.owed_told.add(told)
        return True

    async def _to_keep(self, owed: Owed, request: c.RunCommand) -> pb.Command | None:
        """The command as it was written first; None: the work is not owed any more."""
        async with self._database.transaction() as transaction:
            stored = await commands.find(transaction, request.command_id)
            if stored is None:
                job = await commands.job_of(transaction, owed.job_id, owed.epoch)
                if job is None:
                    return None
                await late_work.put(transaction, owed, request.command_id, await document_of(transaction, request, job))
                stored = await commands.find(transaction, request.command_id)
        if stored is None or stored.result is not None:
            return None
        return pb.Command.FromString(stored.request)


def _cleanup(owed: Owed, session: int) -> pb.Command:
    name = str(uuid.uuid5(owed.job_id, f"{owed.epoch}:debt:{session}"))
    cleanup = pb.Cleanup(job_id=str(owed.job_id), epoch=owed.epoch)
    return pb.Command(id=name, job_id=str(owed.job_id), epoch=owed.epoch, cleanup=cleanup)
