"""An organisation with a receiver of its own."""

import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from pavo.accounts.service import AccountsService
from pavo.config import HttpSettings, WebhookSettings
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.webhooks.service import WebhookService
from tests.parts import Stores, drop_database, new_database
from tests.webhooks.receiver import Receiver, receiving


@pytest.fixture(scope="session")
def outbox_url(stores: Stores) -> Iterator[str]:
    """A database that no worker knows: one would deliver what these tests put into its outbox."""
    url = new_database(stores)
    upgrade(url)
    yield url
    drop_database(stores, url)


@pytest_asyncio.fixture(scope="session")
async def database(outbox_url: str) -> AsyncIterator[Database]:
    found = Database(outbox_url, pool_size=8)
    yield found
    await found.close()


@dataclass(frozen=True)
class Organisation:
    """One of this test alone."""

    id: uuid.UUID
    owner: uuid.UUID
    email: str


@pytest.fixture
def webhooks(database: Database) -> WebhookService:
    """The use cases, where this machine may be sent to."""
    return WebhookService(database, WebhookSettings.model_validate({"networks": "127.0.0.0/8"}))


@pytest_asyncio.fixture
async def organisation(database: Database) -> Organisation:
    accounts = AccountsService(database, HttpSettings.model_validate({"auth": "dev"}))
    who = await accounts.first_sight(f"{uuid.uuid4().hex}@example.com")
    return Organisation(who.organisation_id, who.user_id, who.email)


@pytest_asyncio.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found
