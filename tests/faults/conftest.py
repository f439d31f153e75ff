"""Stacks for the fault tests: one for all of them, and one where a second worker is needed.

They end with the last test of the folder: their links are sockets of the tests' process, which others look at.
"""

from collections.abc import AsyncIterator

import pytest

from tests.faults.rogues import install
from tests.faults.stack import Stack, running_stack


@pytest.fixture(scope="package")
async def shared_stack() -> AsyncIterator[Stack]:
    async with running_stack(prepare=install, env={"PAVO_AGENT_MEMORY_MB": "512"}) as stack:
        yield stack


@pytest.fixture
async def stack(shared_stack: Stack) -> Stack:
    """The folder's stack, whole again."""
    await shared_stack.ready()
    return shared_stack


@pytest.fixture(scope="package")
async def shared_pair() -> AsyncIterator[Stack]:
    async with running_stack(workers=2) as stack:
        yield stack


@pytest.fixture
async def two_workers(shared_pair: Stack) -> Stack:
    await shared_pair.ready()
    return shared_pair
