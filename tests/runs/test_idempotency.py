"""A key makes one thing once, whatever its kind, and also between API processes of this version and the one before."""

import asyncio
import uuid

import pytest
from pydantic import BaseModel
from sqlalchemy import text

from pavo.accounts.domain import Identity
from pavo.bootstrap import build_accounts
from pavo.config import Settings
from pavo.errors import IdempotencyMismatch, InvalidInput
from pavo.kit.sql import Database
from pavo.runs import idempotency
from tests.driving import Tasks


class Wanted(BaseModel):
    title: str


async def identity(database: Database, settings: Settings) -> Identity:
    who = await build_accounts(database, settings).identify_header(None, "keys@example.com")
    assert who is not None
    return who


async def claimed(database: Database, who: Identity, key: str, kind: str, title: str, subject: uuid.UUID) -> uuid.UUID:
    """The subject that the key belongs to."""
    try:
        async with database.transaction() as session:
            await idempotency.claim(session, who, idempotency.request_of(key, kind, Wanted(title=title)), subject)
    except idempotency.Repeated as repeated:
        return repeated.subject_id
    return subject


async def test_a_key_belongs_to_one_request_of_one_kind(database: Database, settings: Settings) -> None:
    who, key = await identity(database, settings), uuid.uuid4().hex
    subjects = [uuid.uuid4() for _ in range(5)]
    found = await asyncio.gather(*(claimed(database, who, key, "counter", "a", subject) for subject in subjects))
    assert len(set(found)) == 1, "the same request made several"
    for kind, title in (("counter", "b"), ("flow", "a")):
        with pytest.raises(IdempotencyMismatch, match="another request"):
            await claimed(database, who, key, kind, title, uuid.uuid4())


@pytest.mark.parametrize("key", ["", "x" * 256, "a\nb"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 255"):
        idempotency.request_of(key, "counter", Wanted(title="a"))


async def test_the_version_before_and_this_one_see_each_others_keys(
    tasks: Tasks, database: Database, settings: Settings
) -> None:
    who = await identity(database, settings)
    theirs, ours = uuid.uuid4().hex, uuid.uuid4().hex
    task_id = uuid.UUID(await tasks.create())
    former = text(
        "INSERT INTO idempotency_keys (organisation_id, user_id, key, request_hash, task_id)"
        " VALUES (:organisation, :user, :key, :hash, :task)"
    )
    request = idempotency.request_of(theirs, "task", Wanted(title="a"))
    values = {"organisation": who.organisation_id, "user": who.user_id, "key": theirs, "hash": request.hash}
    async with database.transaction() as session:
        await session.execute(former, {**values, "task": task_id})
    assert await claimed(database, who, theirs, "task", "a", uuid.uuid4()) == task_id
    assert await claimed(database, who, ours, "task", "a", task_id) == task_id
    async with database.reading() as session:
        query = text("SELECT task_id FROM idempotency_keys WHERE key = :key AND user_id = :user")
        assert (await session.execute(query, {"key": ours, "user": who.user_id})).scalar_one() == task_id
