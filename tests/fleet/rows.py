"""What the gateway needs in the database: an organisation, tokens, a repository, jobs that agents have claimed."""

import uuid
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text

from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.domain import branch_of, workflow_id
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.timeline.domain import NewEvent


@dataclass(frozen=True)
class Job:
    """A job that an agent has claimed."""

    id: str
    epoch: int

    @property
    def uuid(self) -> uuid.UUID:
        return uuid.UUID(self.id)

    @property
    def workflow_id(self) -> str:
        return workflow_id(self.id, self.epoch)


class Rows:
    """Of one organisation."""

    def __init__(self, database: Database, organisation_id: uuid.UUID) -> None:
        self.database, self.organisation_id = database, organisation_id

    @classmethod
    async def make(cls, database: Database) -> "Rows":
        found = cls(database, uuid.uuid4())
        await found.run(
            "INSERT INTO organisations (id, name) VALUES (:id, :name)",
            id=found.organisation_id,
            name=f"org {found.organisation_id}",
        )
        return found

    async def run(self, statement: str, **values: Any) -> list[Any]:
        """Run a statement; its rows."""
        async with self.database.transaction() as session:
            answer = await session.execute(text(statement), values)
            return list(answer.all()) if answer.returns_rows else []  # type: ignore[attr-defined]

    async def one(self, statement: str, **values: Any) -> Any:
        """The first row."""
        return (await self.run(statement, **values))[0]

    async def token(self, agent: str | None = None) -> str:
        """A new token."""
        made = await AgentTokenService(self.database).create(self.organisation_id, "a test", agent=agent)
        return made.secret

    async def revoke(self) -> None:
        """All tokens."""
        tokens = AgentTokenService(self.database)
        for each in await tokens.all_of(self.organisation_id):
            await tokens.revoke(self.organisation_id, each.id)

    async def repository(self, **more: Any) -> uuid.UUID:
        """A new repository."""
        given: dict[str, Any] = {"id": uuid.uuid4(), "clone_url": "https://git.example.com/team/app.git"} | more
        given |= {"organisation_id": self.organisation_id, "name": f"app-{given['id']}"}
        columns = ", ".join(given)
        await self.run(
            f"INSERT INTO repositories ({columns}) VALUES ({', '.join(f':{name}' for name in given)})", **given
        )
        return given["id"]

    async def agent_id(self, name: str = "builder") -> uuid.UUID:
        """Of an agent that has connected."""
        which = {"organisation": self.organisation_id, "name": name}
        row = await self.one(
            "SELECT id FROM remote_agents WHERE organisation_id = :organisation AND name = :name", **which
        )
        return row.id

    async def job(self, agent: str = "builder", *, epoch: int = 1, repository: uuid.UUID | None = None) -> Job:
        """A job that this agent has claimed."""
        job_id, agent_id = uuid.uuid4(), await self.agent_id(agent)
        async with self.database.transaction() as session:
            await timeline.create(session, job_id, NewEvent("queued", {"kind": "backlog", "priority": 50}))
        await self.run(
            "INSERT INTO jobs (id, organisation_id, repository_id, title, prompt, base_branch, rank, program, stage, "
            "epoch, agent_id, lease_until, branch, attempts) VALUES (:id, :organisation, :repository, 'Fix it', "
            "'The button is broken', 'main', 0, 'command', 'CLAIMED', :epoch, :agent, "
            "pavo_now() + interval '60 seconds', :branch, 1)",
            id=job_id,
            organisation=self.organisation_id,
            repository=repository or await self.repository(),
            epoch=epoch,
            agent=agent_id,
            branch=branch_of(job_id),
        )
        await self.attempt(job_id, epoch, agent)
        return Job(str(job_id), epoch)

    async def attempt(self, job_id: uuid.UUID, epoch: int, agent: str = "builder") -> None:
        """One more attempt, by this agent."""
        await self.run(
            "INSERT INTO job_attempts (job_id, epoch, agent_id, agent) VALUES (:job, :epoch, :agent, :name)",
            job=job_id,
            epoch=epoch,
            agent=await self.agent_id(agent),
            name=agent,
        )

    async def of_agent(self, name: str = "builder") -> Any:
        """The agent's row."""
        return await self.one("SELECT * FROM remote_agents WHERE id = :id", id=await self.agent_id(name))

    async def of_job(self, job: Job) -> Any:
        """The job's row."""
        return await self.one("SELECT * FROM jobs WHERE id = :id", id=job.uuid)

    async def commands(self, job: Job) -> list[Any]:
        """The commands of a job."""
        return await self.run("SELECT * FROM job_commands WHERE job_id = :id ORDER BY sent_at", id=job.uuid)

    async def stages(self, job: Job) -> list[str]:
        """That the job's timeline tells of."""
        told = "SELECT data FROM events WHERE timeline_id = :id AND type = 'stage' ORDER BY seq"
        return [each.data["stage"] for each in await self.run(told, id=job.uuid)]

    async def lines(self, job: Job) -> list[Any]:
        """The log of an attempt."""
        query = "SELECT * FROM job_logs WHERE job_id = :id AND epoch = :epoch ORDER BY seq"
        return await self.run(query, id=job.uuid, epoch=job.epoch)
