"""A job that an attempt holds, its scripted agent, and its workflow."""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, select, text, update
from temporalio.client import Client, WorkflowHandle

from pavo.accounts.domain import Identity
from pavo.accounts.models import OrganisationRow, UserRow
from pavo.gates.models import GateRow
from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs import events
from pavo.jobs.sql.models import JobAttemptRow, JobRow, RemoteAgentRow, RepositoryRow
from pavo.jobs.workflow import CodingJob
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.runs.story import MAX_HISTORY_EVENTS
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from tests.driving import until
from tests.jobs.attempt.scripted import Agent, Sessions
from tests.listening import listened

CHECKS = [{"name": "lint", "command": "true", "timeout_seconds": 5}]


@dataclass
class Given:
    """Makes jobs that an attempt holds, and starts their workflows."""

    database: Database
    temporal: Client
    queue: str
    who: Identity
    agent: Agent
    sessions: Sessions
    repository: uuid.UUID = field(default_factory=new_id)

    async def job(self, *, verify: bool = True, rounds: int = 2, review: bool = False, **more: Any) -> uuid.UUID:
        """A job that was just claimed for the agent, with epoch 1."""
        job = new_id()
        checks = CHECKS if verify else []
        values = {
            "id": job,
            "organisation_id": self.who.organisation_id,
            "repository_id": self.repository,
            "title": "Fix it",
            "prompt": "Fix this.",
            "base_branch": "main",
            "rank": 0.0,
            "program": "command",
            "branch": d.branch_of(job),
            "review_plan": review,
            **more,
        }
        async with self.database.transaction() as session:
            changed = update(RepositoryRow).where(RepositoryRow.id == self.repository)
            await session.execute(changed.values(verify=checks, verify_rounds=rounds))
            await session.execute(insert(JobRow).values(**values))
            await timeline.create(session, job, events.queued(d.BACKLOG, 50, self.who.email))
        await self.claim(job)
        return job

    async def claim(self, job: uuid.UUID) -> int:
        """Give the job to the agent; the epoch."""
        async with self.database.transaction() as session:
            claimed = {
                "stage": d.CLAIMED,
                "epoch": JobRow.epoch + 1,
                "attempts": JobRow.attempts + 1,
                "agent_id": self.agent.id,
                "lease_until": func.pavo_now() + timedelta(seconds=60),
                "claimed_at": func.pavo_now(),
            }
            query = update(JobRow).where(JobRow.id == job).values(**claimed).returning(JobRow.epoch)
            epoch = (await session.scalars(query)).one()
            row = {"job_id": job, "epoch": epoch, "agent_id": self.agent.id, "agent": "smith"}
            await session.execute(insert(JobAttemptRow).values(**row))
        return epoch

    async def start(self, job: uuid.UUID, epoch: int = 1) -> WorkflowHandle[Any, str]:
        """The workflow of the attempt."""
        handle: WorkflowHandle[Any, str] = await self.temporal.start_workflow(
            CodingJob.run,
            c.JobInput(str(job), epoch),
            id=d.workflow_id(job, epoch),
            task_queue=self.queue,
            task_timeout=timedelta(seconds=2),
        )
        return handle

    async def row(self, job: uuid.UUID) -> JobRow:
        async with self.database.reading() as session:
            return (await session.scalars(select(JobRow).where(JobRow.id == job))).one()

    async def attempt(self, job: uuid.UUID, epoch: int = 1) -> JobAttemptRow:
        async with self.database.reading() as session:
            query = select(JobAttemptRow).where(JobAttemptRow.job_id == job, JobAttemptRow.epoch == epoch)
            return (await session.scalars(query)).one()

    async def events(self, job: uuid.UUID) -> Sequence[Event]:
        async with self.database.reading() as session:
            return await timeline.read_after(session, job, 0, 500)

    async def stages(self, job: uuid.UUID) -> list[str]:
        return [event.data["stage"] for event in await self.events(job) if event.type == "stage"]

    async def until_stage(self, job: uuid.UUID, *stages: str) -> JobRow:
        async def there() -> JobRow | None:
            row = await self.row(job)
            return row if row.stage in stages else None

        return await until(there, what=f"stage {stages}")

    async def until_asked(self, kind: str, times: int = 1) -> c.RunCommand:
        """Until the agent was asked for a command of this kind so often."""

        async def asked() -> c.RunCommand | None:
            found = [each for each in self.agent.asked if each.kind == kind]
            return found[-1] if len(found) >= times else None

        return await until(asked, what=f"{times} times {kind}")

    async def open_gate(self, job: uuid.UUID, body: str) -> GateRow:
        """Until the attempt asks about this plan."""

        async def asked() -> GateRow | None:
            query = select(GateRow).where(GateRow.subject_id == job, GateRow.body == body, GateRow.state == "open")
            async with self.database.reading() as session:
                return (await session.scalars(query)).one_or_none()

        return await until(asked, what=f"a gate over {body!r}")

    async def filled(self, workflow_id: str, *, nearly: bool = False) -> str:
        """Until its history is so long that another run has taken over, or nearly so; the run that was there before.
        By signals that change nothing else: its agent has not moved."""
        handle = self.temporal.get_workflow_handle(workflow_id)
        first = (await handle.describe()).run_id
        while (found := await handle.describe()).run_id == first:
            if nearly and found.history_length > MAX_HISTORY_EVENTS - 100:
                break
            await asyncio.gather(*(handle.signal(CodingJob.agent_connected) for _ in range(20)))
        return first

    async def lease(self, job: uuid.UUID, seconds: float) -> None:
        """Have the lease of the job run out after so many seconds."""
        async with self.database.transaction() as session:
            until_then = func.pavo_now() + timedelta(seconds=seconds)
            await session.execute(update(JobRow).where(JobRow.id == job).values(lease_until=until_then))

    async def heard(self, job: uuid.UUID, minutes: float) -> None:
        """Have the last sign of the job's work lie so long back."""
        async with self.database.transaction() as session:
            then = func.pavo_now() - timedelta(minutes=minutes)
            await session.execute(update(JobRow).where(JobRow.id == job).values(heard_at=then))


async def organisation(database: Database) -> tuple[Identity, uuid.UUID, uuid.UUID]:
    """An organisation with a member, a repository and an agent: the member, and the ids of the other two."""
    org, user, repository, agent = (new_id() for _ in range(4))
    email = f"{user}@jobs.example"
    await listened(database)
    async with database.transaction() as session:
        await session.execute(insert(OrganisationRow).values(id=org, name="Jobs"))
        await session.execute(insert(UserRow).values(id=user, email=email, organisation_id=org))
        member = "INSERT INTO memberships (organisation_id, user_id, role) VALUES (:org, :user, 'owner')"
        await session.execute(text(member), {"org": org, "user": user})
        named = {"name": "r", "clone_url": "http://localhost/r.git"}
        await session.execute(insert(RepositoryRow).values(id=repository, organisation_id=org, **named))
        await session.execute(insert(RemoteAgentRow).values(id=agent, organisation_id=org, name="smith"))
    return Identity(user, email, org, (org,)), repository, agent
