"""What tests of schedules share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.jobs.organisations import Person
from tests.jobs.organisations import somebody as owner_of
from tests.schedules.scheduling import Schedules, somebody


@pytest_asyncio.fixture
async def schedules(stack: str) -> AsyncIterator[Schedules]:
    """Those of somebody with an organisation of their own."""
    async with somebody(stack) as found:
        yield found


@pytest_asyncio.fixture
async def owner(stack: str) -> AsyncIterator[Person]:
    """Somebody whose organisation has coding jobs."""
    async with owner_of(stack) as found:
        yield found
