"""Native deployments need Temporal's own server, which no wheel brings: on the PATH, in the cache, or built with Go."""

import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from pavo.deploy.local.components.postgres_programs import DEBIAN
from pavo.deploy.local.components.temporal_programs import SERVER, cache_folder, version_of
from tests.deploy.native.stack import NEWEST, Native, deployed
from tests.faults.stack import until

FOLDER = Path(__file__).parent


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are of the group `native`."""
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.native)


def need_temporal(version: str) -> None:
    """Skip, with the reason, where this server is not to be had; building it takes minutes and is not a test's work."""
    on_path = shutil.which(SERVER)
    if (cache_folder() / "temporal" / version / SERVER).exists() or (on_path and version_of(Path(on_path)) == version):
        return
    pytest.skip(f"Temporal {version} is neither on the PATH nor built: python tools/build_temporal.py needs Go")


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


@pytest_asyncio.fixture(scope="package")
async def shared_native() -> AsyncGenerator[Native]:
    """Two workers and two API processes on the machine's PostgreSQL."""
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


@pytest_asyncio.fixture
async def native(shared_native: Native) -> Native:
    """The folder's deployment, whole again: for tests that do not destroy it."""

    async def whole() -> bool:
        return all(part.state == "ready" for part in shared_native.state.parts)

    await until(whole, 60, "all parts are ready")
    return shared_native
