"""Use cases of the roster: see the agents that serve an organisation, drain them, forget them."""

import uuid
from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, Forbidden, NotFound
from pavo.jobs.agents import roster_repository as repository
from pavo.jobs.agents.roster import RemoteAgent
from pavo.kit.sql import Database


class RosterService:
    """The remote agents of organisations.

    Args:
        database: Pavo's database.
        changed: told, after the commit, whose queue may go on: what an agent may take has changed.
    """

    def __init__(self, database: Database, changed: Callable[[uuid.UUID], Awaitable[None]] | None = None) -> None:
        self._database = database
        self._changed = changed

    async def all_of(self, organisation_id: uuid.UUID) -> list[RemoteAgent]:
        """Those that serve the organisation: its own, then the operator's, by name."""
        async with self._database.reading() as session:
            return await repository.agents(session, organisation_id)

    async def get(self, organisation_id: uuid.UUID, name: str) -> RemoteAgent:
        """The one with this name, the organisation's own before the operator's.

        Raises:
            NotFound: there is none.
        """
        async with self._database.reading() as session:
            return await _get(session, organisation_id, name)

    async def drain(self, organisation_id: uuid.UUID, name: str, *, wanted: bool) -> RemoteAgent:
        """Have it finish what it is at and take nothing new, or take jobs again. Repeating changes nothing.

        Raises:
            NotFound: there is none.
            Forbidden: it is the operator's.
        """
        async with self._database.transaction() as session:
            agent = await _own(session, organisation_id, name)
            await repository.ask_drain(session, agent.id, wanted)
            found = await _get(session, organisation_id, name)
        if self._changed is not None:
            await self._changed(organisation_id)
        return found

    async def remove(self, organisation_id: uuid.UUID, name: str) -> None:
        """Forget an agent that is gone for good. One that says Hello again is a new one.

        Raises:
            NotFound: there is none.
            Forbidden: it is the operator's.
            Conflict: it is online, or a job is at it.
        """
        async with self._database.transaction() as session:
            agent = await _own(session, organisation_id, name)
            await repository.lock(session, agent.id)
            now = await _own(session, organisation_id, name)
            if now.online:
                remedy = f"Have it finish (pavo agent drain {name}), end it on its machine, then remove it."
                raise Conflict(f"The agent {name!r} is online.", field="agent", remedy=remedy)
            if now.working:
                remedy = "Wait until its lease has ended, at most a minute; the job is queued again then."
                raise Conflict(f"The agent {name!r} still holds {now.working} jobs.", field="agent", remedy=remedy)
            await repository.remove(session, agent.id)


async def _get(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> RemoteAgent:
    found = await repository.agents(session, organisation_id, name)
    if not found:
        raise NotFound(f"There is no agent {name[:100]!r}.", field="agent", remedy="See them with: pavo agent list")
    return found[0]


async def _own(session: AsyncSession, organisation_id: uuid.UUID, name: str) -> RemoteAgent:
    found = await _get(session, organisation_id, name)
    if found.shared:
        raise Forbidden(
            f"The agent {found.name!r} is the operator's, and serves every organisation.",
            field="agent",
            remedy="Ask the operator to do it.",
        )
    return found
