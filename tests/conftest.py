"""Real stores, one set a session; a database, a task queue, an API process and a worker process on top of them."""

import os
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from unittest.mock import patch

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from pavo import config
from pavo.config import Settings
from pavo.deploy.local.components.dev_server import DYNAMIC_CONFIG
from pavo.deploy.local.stack import STORES as STORE_PARTS
from pavo.deploy.local.stack import EmbeddedStack, remove_data
from pavo.kit.migrate import upgrade
from pavo.kit.sql import Database
from pavo.temporal.client import connect
from tests.clock import SKIPS_TIME, Clock
from tests.driving import PATIENCE, Tasks
from tests.parts import Parts, Stores, drop_database, free_port, new_database
from tests.told import check_all

os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
"""Parts are started by forks that run a program at once; what gRPC does in a fork may end them before it."""
pytest_plugins = ["tests.again", "tests.budget", "tests.groups"]
STORES = os.environ.get("PAVO_TEST_STORES")
"""`DATABASE_URL REDIS_URL TEMPORAL_ADDRESS` of stores that run already, to spare starting them. That Temporal server
needs what `tests.clock.SKIPS_TIME` says, for the tests that move its clock."""


def pytest_configure() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and children inherit that; tests send it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest_asyncio.fixture(scope="session")
async def stores() -> AsyncIterator[Stores]:
    """PostgreSQL, Valkey and Temporal."""
    if STORES:
        yield Stores(*STORES.split())
        return
    folder = Path(tempfile.mkdtemp(prefix="pavo-tests-"))
    folder.chmod(0o711)  # PostgreSQL's own user walks through it
    try:
        with patch.dict(DYNAMIC_CONFIG, SKIPS_TIME):
            async with EmbeddedStack(folder, ephemeral=True, parts=STORE_PARTS) as stack:
                found = stack.environment
                yield Stores(found["DATABASE_URL"], found["REDIS_URL"], found["TEMPORAL_ADDRESS"])
    finally:
        remove_data(folder)


@pytest.fixture(scope="session")
def environment(stores: Stores, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The variables of one stack: its own database, task queue and port, and where its tests' agents write."""
    base = tmp_path_factory.getbasetemp()
    url = new_database(stores)
    upgrade(url)
    yield {
        "DATABASE_URL": url,
        "REDIS_URL": stores.redis_url,
        "TEMPORAL_ADDRESS": stores.temporal_address,
        "TEMPORAL_TASK_QUEUE": f"test-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": str(free_port()),
        "PAVO_AGENT_PATHS": f"{base}:rw",
        "PAVO_AGENT_FOLDERS": str(tmp_path_factory.mktemp("folders") / "agents"),
        "PAVO_ARTIFACTS_FOLDER": str(tmp_path_factory.mktemp("kept") / "artifacts"),
        "PAVO_JOB_REVIEW_SECONDS": "0",
    }
    try:
        check_all(url)  # whatever the session's tests had tasks tell
    finally:
        drop_database(stores, url)


@pytest.fixture(scope="session")
def settings(environment: dict[str, str]) -> Settings:
    """What a process with this environment reads."""
    with patch.dict(os.environ, environment):
        return config.load()


@pytest_asyncio.fixture(scope="session")
async def parts(environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    """Starts processes of this stack; they end with the session."""
    found = Parts(environment, tmp_path_factory.mktemp("parts"))
    yield found
    found.close()


@pytest_asyncio.fixture(scope="session")
async def stack(parts: Parts, environment: dict[str, str]) -> str:
    """One API and one worker; the URL."""
    await parts.start("worker", PAVO_PROGRESS_STEPS="50")
    await parts.start("api")
    return f"http://127.0.0.1:{environment['PAVO_PORT']}"


@pytest_asyncio.fixture(scope="session")
async def client(stack: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A user of that API."""
    headers = {"X-User-Email": "ada@example.com"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as found:
        yield found


@pytest.fixture(scope="session")
def tasks(client: httpx2.AsyncClient) -> Tasks:
    """The same user, driving tasks."""
    return Tasks(client)


@pytest_asyncio.fixture(scope="session")
async def stranger(stack: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A user of another organisation."""
    headers = {"X-User-Email": "mallory@example.org"}
    async with httpx2.AsyncClient(base_url=stack, headers=headers, timeout=30) as found:
        yield found


@pytest_asyncio.fixture(scope="session")
async def temporal(settings: Settings) -> Client:
    """Temporal's own client."""
    return await connect(settings.temporal)


@pytest_asyncio.fixture(scope="session")
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The stack's database; on a busy machine there is always somebody who waits for one of its connections."""
    found = Database(settings.database.url, pool_size=10, pool_timeout=PATIENCE)
    yield found
    await found.close()


@pytest_asyncio.fixture
async def clock(database: Database, temporal: Client) -> AsyncIterator[Clock]:
    """The time of everything, to be moved by a test; afterwards PostgreSQL's goes right again."""
    found = Clock(database, temporal)
    yield found
    await found.back()


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return Path(__file__).parent.parent
