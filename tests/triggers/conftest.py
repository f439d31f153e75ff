"""What tests of triggers share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.triggers.sending import Triggers, somebody


@pytest_asyncio.fixture
async def triggers(stack: str) -> AsyncIterator[Triggers]:
    """Those of somebody with an organisation of their own."""
    async with somebody(stack) as found:
        yield found


@pytest_asyncio.fixture
async def others(stack: str) -> AsyncIterator[Triggers]:
    """Those of somebody else."""
    async with somebody(stack) as found:
        yield found
