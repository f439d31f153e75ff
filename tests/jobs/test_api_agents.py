"""Remote agents and their tokens over HTTP."""

import uuid
from datetime import timedelta

from sqlalchemy import select, update

from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.agents.tokens import PREFIX
from pavo.jobs.sql.models import AgentTokenRow, JobRow, RemoteAgentRow
from pavo.kit.sql import Database
from tests.clock import Clock
from tests.jobs.organisations import Person, add_agent, add_job, member_of, somebody

URL = "https://git.example.com/acme/site.git"


async def test_a_token_opens_until_it_is_revoked(database: Database, owner: Person) -> None:
    made = await owner.post("agent-tokens", status=201, name="laptops")
    assert made["secret"].startswith(PREFIX) and made["secret"].startswith(made["prefix"])
    assert made["state"] == "active" and made["agent"] is None and made["used_at"] is None and made["created_by"]
    tokens = AgentTokenService(database)
    grant = await tokens.opened(made["secret"])
    assert grant is not None and grant.organisation_id == owner.organisation_id
    assert await tokens.still_open([grant.token_id, uuid.uuid4()]) == {grant.token_id}
    (listed,) = (await owner.get("agent-tokens"))["items"]
    assert listed["used_at"] and "secret" not in listed and made["secret"] not in str(listed)
    for _ in range(2):
        await owner.send("DELETE", "agent-tokens", made["id"], status=204)
    assert await tokens.opened(made["secret"]) is None and await tokens.still_open([grant.token_id]) == set()
    (listed,) = (await owner.get("agent-tokens"))["items"]
    assert listed["state"] == "revoked" and listed["revoked_at"]


async def test_only_the_hash_is_kept(database: Database, owner: Person) -> None:
    made = await owner.post("agent-tokens", status=201, name="laptops")
    async with database.reading() as session:
        row = (await session.scalars(select(AgentTokenRow).where(AgentTokenRow.id == uuid.UUID(made["id"])))).one()
        kept = {name: getattr(row, name) for name in ("name", "prefix", "hash", "agent")}
    assert made["secret"] not in str(kept) and len(row.hash) == 64


async def test_a_token_of_one_agent_and_for_a_while(database: Database, clock: Clock, owner: Person) -> None:
    made = await owner.post("agent-tokens", status=201, name="one", agent="build-7", expires_in_seconds=60)
    tokens = AgentTokenService(database)
    grant = await tokens.opened(made["secret"])
    assert grant is not None and grant.agent == "build-7"
    await clock.forward(timedelta(seconds=61))
    assert await tokens.opened(made["secret"]) is None
    assert (await owner.get("agent-tokens"))["items"][0]["state"] == "expired"


async def test_what_is_no_token_opens_nothing(database: Database) -> None:
    tokens = AgentTokenService(database)
    for secret in ("", "pavo_x", PREFIX, f"{PREFIX}{'x' * 43}", f"{PREFIX}{'x' * 10_000}", f"{PREFIX}\ud800"):
        assert await tokens.opened(secret) is None


async def test_bad_tokens_are_refused(owner: Person) -> None:
    for body, field in (
        ({"name": " "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"name": "x", "agent": "a b"}, "agent"),
        ({"name": "x", "agent": "-x"}, "agent"),
        ({"name": "x", "expires_in_seconds": 1}, "expires_in_seconds"),
    ):
        assert (await owner.post("agent-tokens", status=422, **body))["field"] == field
    assert (await owner.get("agent-tokens"))["items"] == []


async def test_tokens_are_the_owners(stack: str, owner: Person) -> None:
    made = await owner.post("agent-tokens", status=201, name="laptops")
    async with somebody(stack) as other:
        foreign = Person(other.client, owner.organisation_id)
        await foreign.get("agent-tokens", status=404)
        await foreign.send("DELETE", "agent-tokens", made["id"], status=404)
        await other.send("DELETE", "agent-tokens", made["id"], status=404)
        member = await member_of(owner, other.client)
        await member.get("agent-tokens", status=403)
        await member.post("agent-tokens", status=403, name="x")
        await member.send("DELETE", "agent-tokens", made["id"], status=403)
    assert (await owner.get("agent-tokens"))["items"][0]["state"] == "active"


async def test_an_agent_and_what_it_is_at(database: Database, owner: Person) -> None:
    more = {"online": True, "labels": ["linux"], "programs": ["codex"], "capacity": 2}
    agent_id = await add_agent(database, owner.organisation_id, "build-7", **more)
    shared = f"shared-{uuid.uuid4().hex[:8]}"
    shared_id = await add_agent(database, None, shared)
    repository = await owner.post("repositories", status=201, name="site", clone_url=URL)
    job_id = await add_job(database, owner.organisation_id, repository["id"], stage="EXECUTING", agent_id=agent_id)
    found = await owner.get("agents", "build-7")
    assert found["state"] == "busy" and found["working"] == 1 and found["capacity"] == 2
    assert found["jobs"] == [{"id": str(job_id), "title": "Fix it", "stage": "EXECUTING"}]
    listed = [each["name"] for each in (await owner.get("agents"))["items"]]
    assert listed[0] == "build-7" and shared in listed
    assert (await owner.get("agents", shared))["state"] == "offline"
    for path in ("drain", "undrain"):
        refused = await owner.post("agents", shared, path, status=403)
        assert "operator" in refused["detail"]
    await owner.send("DELETE", "agents", shared, status=403)
    async with database.transaction() as session:
        await session.delete(await session.get_one(RemoteAgentRow, shared_id))


async def test_drained_and_removed(database: Database, owner: Person) -> None:
    agent_id = await add_agent(database, owner.organisation_id, "build-7", online=True)
    for _ in range(2):
        drained = await owner.post("agents", "build-7", "drain")
        assert drained["state"] == "draining" and drained["draining"] is True
    assert (await owner.post("agents", "build-7", "undrain"))["state"] == "idle"
    assert "online" in (await owner.send("DELETE", "agents", "build-7", status=409))["detail"]
    repository = await owner.post("repositories", status=201, name="site", clone_url=URL)
    job_id = await add_job(database, owner.organisation_id, repository["id"], stage="EXECUTING", agent_id=agent_id)
    async with database.transaction() as session:
        await session.execute(update(RemoteAgentRow).where(RemoteAgentRow.id == agent_id).values(online=False))
    assert "1 jobs" in (await owner.send("DELETE", "agents", "build-7", status=409))["detail"]
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(stage="DONE"))
    await owner.send("DELETE", "agents", "build-7", status=204)
    await owner.get("agents", "build-7", status=404)
    await owner.post("agents", "build-7", "drain", status=404)


async def test_agents_of_others_are_unknown(stack: str, database: Database, owner: Person) -> None:
    await add_agent(database, owner.organisation_id, "build-7")
    async with somebody(stack) as other:
        await other.get("agents", "build-7", status=404)
        foreign = Person(other.client, owner.organisation_id)
        await foreign.get("agents", status=404)
        await foreign.post("agents", "build-7", "drain", status=404)
        member = await member_of(owner, other.client)
        assert (await member.get("agents", "build-7"))["name"] == "build-7"
        await member.post("agents", "build-7", "drain", status=403)
        await member.send("DELETE", "agents", "build-7", status=403)
