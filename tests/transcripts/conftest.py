"""A stack that knows the agents that talk."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.parts import Parts
from tests.tasks.own_stack import Own, on_path, own_stack
from tests.transcripts.talking_agents import install


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    async with own_stack(parts, "transcripts", {"PYTHONPATH": on_path(folder)}) as stack:
        yield stack
