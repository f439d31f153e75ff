"""A database of the jobs' own: claims for agents that serve everybody would find the jobs of other tests."""

from collections.abc import AsyncIterator

import pytest_asyncio

from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from tests.jobs.queue.queueing import Queueing
from tests.listening import listened
from tests.parts import Stores, drop_database, new_database


@pytest_asyncio.fixture(scope="session")
async def queue_database(stores: Stores) -> AsyncIterator[Database]:
    """With every table and no row."""
    url = new_database(stores)
    upgrade(url)
    found = Database(url, pool_size=60)
    yield found
    await found.close()
    drop_database(stores, url)


@pytest_asyncio.fixture
async def queueing(queue_database: Database) -> AsyncIterator[Queueing]:
    """Organisations, agents and jobs as a test wants them; all of them are gone afterwards."""
    await listened(queue_database)
    found = Queueing(queue_database)
    yield found
    await found.clear()
