"""What tests of schedules share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.schedules.scheduling import Schedules, somebody


@pytest_asyncio.fixture
async def schedules(stack: str) -> AsyncIterator[Schedules]:
    """Those of somebody with an organisation of their own."""
    async with somebody(stack) as found:
        yield found
