"""Organisations, agents and queued jobs as rows, for tests of the queue."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import delete, insert, select, text, update

from pavo.accounts.models import OrganisationRow
from pavo.jobs.sql import claims
from pavo.jobs.sql.attempts import Ended, end_attempt
from pavo.jobs.sql.claims import CONTENDED, Claim
from pavo.jobs.sql.models import JobAttemptRow, JobQueueRow, JobRow, RemoteAgentRow, RepositoryRow
from pavo.jobs.sql.queue import NewJob, enqueue
from pavo.kit.ids import new_id
from pavo.kit.sql import Database, KeptConnections


@dataclass
class Queueing:
    """Makes rows, claims and ends attempts."""

    database: Database
    repositories: dict[uuid.UUID, uuid.UUID] = field(default_factory=dict[uuid.UUID, uuid.UUID])
    """By organisation."""

    def __post_init__(self) -> None:
        self.connections = KeptConnections(self.database, 50)

    async def organisation(self, at_once: int = 1) -> uuid.UUID:
        org, repository = new_id(), new_id()
        async with self.database.transaction() as session:
            await session.execute(insert(OrganisationRow).values(id=org, name=str(org)))
            named = {"name": "r", "clone_url": "http://localhost/r.git"}
            await session.execute(insert(RepositoryRow).values(id=repository, organisation_id=org, **named))
            await session.execute(insert(JobQueueRow).values(organisation_id=org, at_once=at_once))
        self.repositories[org] = repository
        return org

    async def agent(
        self,
        org: uuid.UUID | None,
        *,
        capacity: int = 1,
        labels: Sequence[str] = (),
        programs: Sequence[str] = ("command",),
        online: bool = True,
        draining: bool = False,
    ) -> uuid.UUID:
        agent = new_id()
        has = {"capacity": capacity, "labels": list(labels), "programs": list(programs)}
        is_ = {"online": online, "draining": draining, "queue": f"agent-{agent}-1" if online else None}
        async with self.database.transaction() as session:
            await session.execute(
                insert(RemoteAgentRow).values(id=agent, organisation_id=org, name=str(agent), **has, **is_)
            )
        return agent

    def new(
        self, org: uuid.UUID, priority: int = 50, labels: Sequence[str] = (), program: str = "command", tries: int = 3
    ) -> NewJob:
        return NewJob(
            org, self.repositories[org], "t", "p", "main", program, priority=priority, labels=labels, max_attempts=tries
        )

    async def job(
        self,
        org: uuid.UUID,
        priority: int = 50,
        *,
        labels: Sequence[str] = (),
        program: str = "command",
        tries: int = 3,
        kind: str = "backlog",
        rank: float | None = None,
    ) -> uuid.UUID:
        new = self.new(org, priority, labels, program, tries)
        changes = {"kind": kind} | ({"rank": rank} if rank is not None else {})
        async with self.database.transaction() as session:
            await enqueue(session, new)
            await session.execute(update(JobRow).where(JobRow.id == new.id).values(**changes))
        return new.id

    async def take(self, org: uuid.UUID | None) -> Claim | None:
        """Claim; whoever is told that another held it tries again."""
        for _ in range(2_000):
            found = await claims.take(self.connections, org)
            if found != CONTENDED:
                assert not isinstance(found, str)
                return found
        raise AssertionError("contended without an end")

    async def end(self, claim: Claim, how: str = "done") -> Ended:
        async with self.database.transaction() as session:
            return await end_attempt(session, claim.job_id, claim.epoch, None, how, "Lost", "It was lost.", "Wait.")

    async def row(self, job: uuid.UUID) -> JobRow:
        async with self.database.reading() as session:
            return (await session.scalars(select(JobRow).where(JobRow.id == job))).one()

    async def attempt(self, job: uuid.UUID, epoch: int) -> JobAttemptRow:
        mine = (JobAttemptRow.job_id == job, JobAttemptRow.epoch == epoch)
        async with self.database.reading() as session:
            return (await session.scalars(select(JobAttemptRow).where(*mine))).one()

    async def rows(self) -> Sequence[JobRow]:
        async with self.database.reading() as session:
            return (await session.scalars(select(JobRow))).all()

    async def execute(self, statement: str, **values: object) -> None:
        async with self.database.transaction() as session:
            await session.execute(text(statement), values)

    async def clear(self) -> None:
        await self.connections.close()
        async with self.database.transaction() as session:
            await session.execute(delete(JobRow))
            for table in ("remote_agents", "repositories", "organisations", "timelines"):
                await session.execute(text(f"DELETE FROM {table}"))
