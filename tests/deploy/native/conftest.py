"""Native deployments need Temporal's own server, which no wheel brings: on the PATH, in the cache, or built with Go."""

import os
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.deploy.native import DEBIAN
from pavo.deploy.temporal_programs import find_temporal
from pavo.errors import ConfigurationError
from tests.deploy.native.stack import NEWEST, Native, deployed


def need_temporal(version: str) -> None:
    """Skip, with the reason, where this server is not to be had."""
    try:
        find_temporal(version)
    except ConfigurationError as error:
        pytest.skip(f"Temporal {version}: {error.detail}")


def need_installed_postgres() -> None:
    """Skip where the machine has no PostgreSQL of its own."""
    if not any((folder / "bin" / "postgres").exists() for folder in DEBIAN.glob("*")):
        pytest.skip("No PostgreSQL is installed here (Debian: apt-get install postgresql).")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that another user can walk through, as PostgreSQL's must."""
    with tempfile.TemporaryDirectory(prefix="pavo-native-", dir=os.environ.get("PAVO_TEST_DIR")) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest_asyncio.fixture(scope="module")
async def native() -> AsyncGenerator[Native]:
    """Two workers and two API processes on the machine's PostgreSQL, for the tests of one module."""
    need_temporal(NEWEST)
    need_installed_postgres()
    with tempfile.TemporaryDirectory(prefix="pavo-native-") as folder:
        Path(folder).chmod(0o755)
        async with deployed(
            Path(folder) / "data",
            "--postgres",
            "machine",
            "--temporal-version",
            NEWEST,
            "--apis",
            "2",
            "--workers",
            "2",
        ) as native:
            yield native
