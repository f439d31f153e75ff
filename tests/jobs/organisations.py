"""Organisations of their own for tests of jobs: people, and rows beside what the API makes."""

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2

from pavo.jobs import domain as d
from pavo.jobs.sql.models import JobRow, RemoteAgentRow
from pavo.kit.ids import new_id
from pavo.kit.sql import Database


@dataclass(frozen=True)
class Person:
    """Somebody who asks the API."""

    client: httpx2.AsyncClient
    organisation_id: uuid.UUID

    def path(self, *parts: object) -> str:
        return "/".join((f"/api/orgs/{self.organisation_id}", *map(str, parts)))

    async def get(self, *parts: object, status: int = 200, **params: Any) -> Any:
        return await self.send("GET", *parts, status=status, params=params)

    async def post(self, *parts: object, status: int = 200, **body: Any) -> Any:
        return await self.send("POST", *parts, status=status, json=body)

    async def send(self, method: str, *parts: object, status: int = 200, **request: Any) -> Any:
        answer = await self.client.request(method, self.path(*parts), **request)
        assert answer.status_code == status, (method, parts, answer.status_code, answer.text)
        return answer.json() if answer.content else None


@asynccontextmanager
async def somebody(stack: str, organisation_id: uuid.UUID | None = None) -> AsyncGenerator[Person]:
    """A new user in an organisation of their own, or one who asks for another's."""
    headers = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as client:
        session = (await client.get("/api/session")).json()
        yield Person(client, organisation_id or uuid.UUID(session["organisation_id"]))


async def member_of(owner: Person, client: httpx2.AsyncClient) -> Person:
    """Have somebody join as a member who is no owner."""
    here = f"/api/organisations/{owner.organisation_id}"
    link = (await owner.client.post(f"{here}/invitations", json={})).json()
    answer = await client.post("/api/invitations/accept", json={"secret": link["secret"]})
    assert answer.status_code == 200, answer.text
    return Person(client, owner.organisation_id)


async def add_agent(database: Database, organisation_id: uuid.UUID | None, name: str, **more: Any) -> uuid.UUID:
    """A row of the roster, as a gateway writes it."""
    agent_id = new_id()
    async with database.transaction() as session:
        session.add(RemoteAgentRow(id=agent_id, organisation_id=organisation_id, name=name, **more))
    return agent_id


async def add_job(
    database: Database, organisation_id: uuid.UUID, repository_id: uuid.UUID | str, **more: Any
) -> uuid.UUID:
    """A job's row alone, without workflow or timeline."""
    job_id = new_id()
    values = {"title": "Fix it", "prompt": "Fix it", "base_branch": "main", "program": "command", "rank": 1.0, **more}
    place = {"organisation_id": organisation_id, "repository_id": uuid.UUID(str(repository_id))}
    async with database.transaction() as session:
        session.add(JobRow(id=job_id, branch=d.branch_of(job_id), **place, **values))
    return job_id
