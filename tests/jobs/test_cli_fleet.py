"""`pavo repo` and `pavo agent`, typed as people type them, against a real API."""

import uuid
from datetime import UTC, datetime, timedelta

from sqlalchemy import update

from pavo.cli.jobs.moments import local_time
from pavo.jobs.sql.models import RemoteAgentRow
from pavo.kit.sql import Database
from tests.jobs.organisations import add_agent, somebody
from tests.jobs.shell import Shell

URL = "https://git.example.com/acme/site.git"


async def test_the_life_of_a_repository(shell: Shell) -> None:
    assert "pavo repo add NAME CLONE_URL" in (await shell.type("repo", "list")).stdout
    added = await shell.type("repo", "add", "site", URL, "--forge", "gitea", "--verify", "tests:1200=make test x=1")
    assert "--repo site --program" in added.stderr + added.stdout, "what it names next can be typed"
    shown = (await shell.type("repo", "show", "site")).stdout
    assert "tests (at most 1200 s): make test x=1" in shown and "gitea" in shown
    changed = await shell.json("repo", "set", "site", "--name", "acme/site", "--empty-verify", "--review-plan")
    assert changed["verify"] == [] and changed["review_plan"] is True and changed["forge"] == "gitea"
    await shell.type("repo", "set", "acme/site", "--author-email", "nobody", code=2)
    words = ("--author-name", 'Ada\'s "robot"', "--author-email", "robot@example.com")
    changed = await shell.json("repo", "set", "acme/site", *words)
    assert 'Ada\'s "robot" <robot@example.com>' in (await shell.type("repo", "show", "acme/site")).stdout
    (listed,) = (await shell.json("repo", "list"))["repositories"]
    assert listed == changed and "acme/site" in (await shell.type("repo", "list")).stdout
    assert "--yes" in (await shell.type("repo", "rm", "acme/site", code=2)).stderr
    assert await shell.json("repo", "rm", "acme/site", "--yes") == {"removed": listed["id"]}
    assert "pavo repo list" in (await shell.type("repo", "show", "acme/site", code=3)).stderr


async def test_what_is_wrong_with_a_repository(shell: Shell) -> None:
    refused = (await shell.type("repo", "add", "site", "https://me:word@h/x", code=2)).stderr
    assert "user or password" in refused and "pavo secret set" in refused
    assert (
        "--verify 'tests=make test'" in (await shell.type("repo", "add", "s", URL, "--verify", "make", code=2)).stderr
    )
    await shell.type("repo", "add", "site", URL)
    assert "site" in (await shell.type("repo", "add", "site", URL, code=4)).stderr
    await shell.type("repo", "set", "site", code=2)


async def test_the_life_of_an_agents_token(shell: Shell) -> None:
    made = await shell.type("agent", "token", "create", "laptops", "--agent", "build-7", "--expires", "30d")
    assert made.stdout.startswith("pavo_agent_") and made.stdout.count("\n") == 1 and "not shown again" in made.stderr
    (listed,) = (await shell.json("agent", "token", "list"))["tokens"]
    assert listed["agent"] == "build-7" and listed["expires_at"] and made.stdout.startswith(listed["prefix"])
    assert "revoked" in (await shell.type("agent", "token", "revoke", f"{listed['prefix']}…")).stdout
    assert (await shell.json("agent", "token", "list"))["tokens"][0]["state"] == "revoked"
    await shell.type("agent", "token", "revoke", "pavo_agent_nobody", code=3)


async def test_a_token_of_the_operators_agents(shell: Shell) -> None:
    made = await shell.json("agent", "token", "create", f"fleet-{uuid.uuid4().hex}", "--shared")
    assert made["secret"].startswith(made["prefix"])
    listed = (await shell.json("agent", "token", "list", "--shared"))["tokens"]
    assert made["id"] in [each["id"] for each in listed]
    assert (await shell.json("agent", "token", "list"))["tokens"] == []
    await shell.type("agent", "token", "revoke", made["id"], "--shared")


async def _rests(database: Database, organisation_id: uuid.UUID, within: timedelta) -> datetime:
    until = datetime.now(UTC) + within
    mine = update(RemoteAgentRow).where(RemoteAgentRow.organisation_id == organisation_id)
    async with database.transaction() as session:
        await session.execute(mine.values(rests_until=until, rests_for="The disk is full."))
    return until


async def test_the_roster(shell: Shell, stack: str, database: Database) -> None:
    async with somebody(stack) as person:
        person.client.headers["X-User-Email"] = shell.user
        organisation_id = uuid.UUID((await person.client.get("/api/session")).json()["organisation_id"])
    more = {"online": True, "labels": ["linux"], "programs": ["codex"]}
    await add_agent(database, organisation_id, "build-7", **more)
    assert "build-7" in (await shell.type("agent", "list")).stdout
    assert "codex" in (await shell.type("agent", "show", "build-7")).stdout
    await _rests(database, organisation_id, timedelta(minutes=-1))
    assert (await shell.json("agent", "show", "build-7"))["rests_until"] is None, "it rests no more"
    until = await _rests(database, organisation_id, timedelta(minutes=30))
    assert f"rests until {local_time(until)}" in (await shell.type("agent", "list")).stdout
    shown = (await shell.type("agent", "show", "build-7")).stdout
    assert f"rests until {local_time(until)}" in shown and "The disk is full." in shown
    assert "takes nothing new" in (await shell.type("agent", "drain", "build-7")).stdout
    assert (await shell.json("agent", "show", "build-7"))["state"] == "draining"
    assert (await shell.json("agent", "drain", "build-7", "--undo"))["state"] == "idle"
    assert "online" in (await shell.type("agent", "rm", "build-7", "--yes", code=4)).stderr
    await shell.type("agent", "show", "nobody", code=3)
