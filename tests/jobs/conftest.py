"""What tests of jobs share."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.jobs.organisations import Person, somebody
from tests.jobs.shell import Shell, shell_of


@pytest_asyncio.fixture
async def owner(stack: str) -> AsyncIterator[Person]:
    """Somebody with an organisation of their own."""
    async with somebody(stack) as found:
        yield found


@pytest.fixture
def shell(stack: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell of a new user."""
    return shell_of(monkeypatch, stack, f"{uuid.uuid4().hex}@example.com", environment["DATABASE_URL"])
