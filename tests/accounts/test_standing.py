"""A stream is authorised while it lasts: what ends it, how soon, and what its client is told."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx2
import psycopg
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.accounts.domain import Grant, Identity
from pavo.accounts.service import AccountsService
from pavo.accounts.standing import StandingWatch
from pavo.config import HttpSettings, Settings
from pavo.kit.sql import Database
from tests.parts import Parts, free_port

SECRET = "a secret of more than thirty-two characters"
PROMISED_SECONDS = 5.0


@pytest_asyncio.fixture(scope="module")
async def address(parts: Parts) -> AsyncIterator[str]:
    """An API that takes tokens."""
    port = free_port()
    api = await parts.start("api", PAVO_PORT=str(port), PAVO_AUTH="token", PAVO_SECRET_KEY=SECRET)
    yield f"http://127.0.0.1:{port}"
    api.end()


@pytest.fixture
def accounts(database: Database) -> AccountsService:
    return AccountsService(database, HttpSettings(auth="token", secret_key=SECRET))  # type: ignore[arg-type]


class Watch:
    """A stream of a new task, and what it told when it ended."""

    def __init__(self, client: httpx2.AsyncClient, task_id: str) -> None:
        self.client, self.task_id = client, task_id
        self.connected = asyncio.Event()
        self.lines: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async with self.client.stream("GET", f"/api/tasks/{self.task_id}/stream") as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                self.lines.append(line)
                if line.startswith("data: "):
                    self.connected.set()

    async def ends(self, within: float = PROMISED_SECONDS) -> str:
        """The last comment."""
        begun = time.monotonic()
        await asyncio.wait_for(self.reading, 30)
        assert time.monotonic() - begun < within + 1.0, "a second for a busy machine"
        return next((line for line in reversed(self.lines) if line.startswith(":")), "")


async def watch(address: str, accounts: AccountsService, *, email: str, session: bool = False, **token: Any) -> Watch:
    made = await accounts.create_token(email, "test", **token)
    client = httpx2.AsyncClient(base_url=address, timeout=30)
    if session:
        answer = await client.post("/api/session", json={"token": made.secret})
        assert answer.status_code == 200, answer.text
    else:
        client.headers["Authorization"] = f"Bearer {made.secret}"
    task = await client.post("/api/tasks", json={"title": "Watched"}, headers={"Origin": address})
    assert task.status_code == 201, task.text
    found = Watch(client, task.json()["id"])
    await asyncio.wait_for(found.connected.wait(), 20)
    return found


async def revoked(accounts: AccountsService, database: Database, watch: Watch, email: str) -> None:
    [token] = await accounts.tokens(email)
    await accounts.revoke_token(str(token.id))


async def nothing(accounts: AccountsService, database: Database, watch: Watch, email: str) -> None:
    pass  # it expires by itself


async def dismissed(accounts: AccountsService, database: Database, watch: Watch, email: str) -> None:
    async with database.transaction() as session:
        mine = text("DELETE FROM memberships WHERE user_id = (SELECT id FROM users WHERE email = :email)")
        await session.execute(mine, {"email": email})


async def moved(accounts: AccountsService, database: Database, watch: Watch, email: str) -> None:
    other = await accounts.first_sight(f"other-{uuid.uuid4().hex}@example.com")
    async with database.transaction() as session:
        statement = text("UPDATE tasks SET organisation_id = :organisation WHERE id = :id")
        await session.execute(statement, {"organisation": other.organisation_id, "id": watch.task_id})


Act = Callable[[AccountsService, Database, Watch, str], Awaitable[None]]


@pytest.mark.parametrize(
    ("act", "how", "reason", "status"),
    [
        (revoked, {}, "the API token was revoked", 401),
        (revoked, {"session": True}, "the API token was revoked", 401),
        (nothing, {"expires_in": timedelta(seconds=2)}, "has expired", 401),
        (dismissed, {}, "no member", 404),
        (moved, {}, "another organisation", 404),
    ],
    ids=["revoked", "revoked under a session", "expired", "dismissed", "moved"],
)
async def test_a_stream_ends_when_it_would_not_be_allowed_any_more(
    address: str, accounts: AccountsService, database: Database, act: Act, how: Any, reason: str, status: int
) -> None:
    email = f"{uuid.uuid4().hex}@example.com"
    stays = await watch(address, accounts, email=f"stays-{email}")
    ends = await watch(address, accounts, email=email, **how)
    await act(accounts, database, ends, email)
    told = await ends.ends(within=PROMISED_SECONDS + how.get("expires_in", timedelta(0)).total_seconds())
    assert told.startswith(": ended: ") and reason in told

    async def refused() -> int:
        return (await ends.client.get(f"/api/tasks/{ends.task_id}/stream")).status_code

    begun = time.monotonic()
    while await refused() != status:
        assert time.monotonic() - begun < 15, "identities are remembered for seconds"
        await asyncio.sleep(0.2)
    assert not stays.reading.done(), "others go on"
    stays.reading.cancel()
    await asyncio.gather(stays.reading, return_exceptions=True)
    for each in (stays, ends):
        await each.client.aclose()


class Lasts:
    """A connection to come, a socket or a download."""

    def __init__(self) -> None:
        self.left, self.reason = False, ""

    def end(self, reason: str) -> None:
        self.left, self.reason = True, reason


async def test_many_viewers_cost_a_statement_for_each_question(
    settings: Settings, database: Database, accounts: AccountsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = await accounts.first_sight(f"{uuid.uuid4().hex}@example.com")
    stranger = Identity(uuid.uuid4(), "x@example.com", uuid.uuid4(), ())
    here, gone = uuid.uuid4(), uuid.uuid4()

    async def owners(ids: Any) -> dict[uuid.UUID, uuid.UUID]:
        async with database.reading() as session:
            await session.execute(text("SELECT 1"))
        return {here: identity.organisation_id}

    standing = StandingWatch(database, {"thing": owners})
    kept, ended, removed = [Lasts() for _ in range(500)], Lasts(), Lasts()
    for each in kept:
        standing.hold(each, Grant("thing", here, identity.organisation_id, identity))
    standing.hold(ended, Grant("thing", here, identity.organisation_id, stranger))
    standing.hold(removed, Grant("thing", gone, identity.organisation_id, None))
    asked = 0
    execute = psycopg.AsyncCursor.execute

    async def counted(self: Any, *arguments: Any, **named: Any) -> Any:
        nonlocal asked
        asked += 1
        return await execute(self, *arguments, **named)

    monkeypatch.setattr(psycopg.AsyncCursor, "execute", counted)
    await standing.look()
    assert asked == 2
    assert not any(each.left for each in kept)
    assert "no member" in ended.reason and "deleted" in removed.reason
    kept[0].left = True
    for each in kept[1:]:
        each.left = True
    await standing.look()
    assert asked == 2, "nobody is left to ask for"
