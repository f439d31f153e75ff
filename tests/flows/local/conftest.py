"""An organisation whose runs are executed here."""

import uuid
from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text

from pavo.kit.sql import Database


@pytest_asyncio.fixture
async def organisation(database: Database) -> AsyncIterator[uuid.UUID]:
    found = uuid.uuid4()
    async with database.transaction() as session:
        await session.execute(text("INSERT INTO organisations (id, name) VALUES (:id, 'o')"), {"id": found})
    yield found
    async with database.transaction() as session:
        await session.execute(text("DELETE FROM organisations WHERE id = :id"), {"id": found})
