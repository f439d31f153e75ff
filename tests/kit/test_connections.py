"""Whoever is cancelled gives back what it took from the pool of database connections."""

import asyncio
import gc
from collections.abc import Iterator

import pytest
from psycopg import waiting
from sqlalchemy import text
from sqlalchemy.pool import QueuePool

from pavo.config import Settings
from pavo.kit.sql import Database

READERS = 3
TURNS = 25
"""Of the event loop; a read that waits for nobody takes fewer."""


@pytest.fixture
def no_collection() -> Iterator[None]:
    """What is lost is not found again by chance."""
    gc.disable()
    yield
    gc.enable()


async def test_a_reader_that_is_cancelled_at_any_moment_leaves_its_connection_to_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, no_collection: None
) -> None:
    monkeypatch.setattr(waiting, "MAX_BUSY_TIME", 0.0)  # as on a loop that has much to do: each wait takes a turn
    database = Database(settings.database.url, pool_size=READERS, pool_timeout=1.0)
    pool = database.engine.sync_engine.pool
    assert isinstance(pool, QueuePool)

    async def read() -> None:
        async with database.reading() as session:
            await session.execute(text("SELECT 1"))

    try:
        await asyncio.gather(*(read() for _ in range(READERS)))
        for turns in range(TURNS):
            readers = [asyncio.create_task(read()) for _ in range(READERS)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for reader in readers:
                reader.cancel()
            await asyncio.wait(readers)
            assert pool.checkedout() == 0, f"cancelled after {turns} turns"
        await read()
    finally:
        await database.close()
