"""What tests of flows over HTTP share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.flows.published.people import Person, somebody


@pytest_asyncio.fixture
async def person(stack: str) -> AsyncIterator[Person]:
    async with somebody(stack) as found:
        yield found


@pytest_asyncio.fixture
async def other(stack: str) -> AsyncIterator[Person]:
    async with somebody(stack) as found:
        yield found
