"""The stores under supervision: killed ones come back with their data, stacks stay apart, root is dropped."""

import contextlib
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio
from redis.asyncio import Redis
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client

from pavo.deploy.local.components.dev_server import RETENTION
from pavo.deploy.local.components.postgres import clear_stale_pid
from pavo.deploy.local.stack import STORES, EmbeddedStack, remove_data
from pavo.deploy.model.state import running
from pavo.errors import ConfigurationError, Conflict
from pavo.kit.processes import ProcessIdentity

ROOT = Path(__file__).parent.parent.parent


@pytest_asyncio.fixture(scope="module")
async def stores(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    folder = tmp_path_factory.mktemp("stores") / "data"
    async with EmbeddedStack(folder, parts=STORES) as stack:
        yield stack
    remove_data(folder)
    assert not folder.exists()


async def count(stack: EmbeddedStack) -> int:
    async with await psycopg.AsyncConnection.connect(stack.environment["DATABASE_URL"]) as connection:
        row = await (await connection.execute("SELECT count(*) FROM kept")).fetchone()
    assert row is not None
    return int(row[0])


async def ping(stack: EmbeddedStack) -> None:
    redis = Redis.from_url(stack.environment["REDIS_URL"])
    assert await redis.ping()  # pyright: ignore[reportGeneralTypeIssues]
    await redis.aclose()


async def test_postgres_killed_comes_back_with_its_data_on_its_port(stores: EmbeddedStack) -> None:
    url = stores.environment["DATABASE_URL"]
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    killed = stores.kill("postgres")
    await stores.supervisor.until_ready("postgres")
    assert stores.supervisor.pid("postgres") != killed
    assert await count(stores) == 1000
    state = running(stores.layout.root)
    assert state is not None
    assert next(part for part in state.parts if part.name == "postgres").restarts == 1


async def test_postgres_is_synchronous_private_and_not_root(stores: EmbeddedStack) -> None:
    async with await psycopg.AsyncConnection.connect(stores.environment["DATABASE_URL"]) as connection:
        for name, value in {"synchronous_commit": "on", "fsync": "on", "listen_addresses": "127.0.0.1"}.items():
            row = await (await connection.execute(f"SHOW {name}")).fetchone()  # pyright: ignore[reportArgumentType]
            assert row == (value,)
    secret = stores.environment["DATABASE_URL"].split(":")[2].split("@")[0]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(stores.environment["DATABASE_URL"].replace(secret, "wrong")).close()
    status = Path(f"/proc/{stores.supervisor.pid('postgres')}/status").read_text()
    assert "Uid:\t0" not in status
    assert (stores.layout.root / "secrets.json").stat().st_mode & 0o077 == 0
    assert stores.layout.state.stat().st_mode & 0o077 == 0


async def test_redis_killed_comes_back_with_its_data(stores: EmbeddedStack) -> None:
    redis = Redis.from_url(stores.environment["REDIS_URL"])
    await redis.set("kept", "yes")
    assert (await redis.execute_command("WAITAOF", 1, 0, 5000))[0] == 1
    await redis.aclose()
    stores.kill("redis")
    await stores.supervisor.until_ready("redis")
    redis = Redis.from_url(stores.environment["REDIS_URL"])
    assert await redis.get("kept") == b"yes"
    await redis.aclose()


async def test_temporal_killed_comes_back_with_its_workflows(stores: EmbeddedStack) -> None:
    client = await Client.connect(stores.environment["TEMPORAL_ADDRESS"])
    await client.start_workflow("Nobody", id="kept", task_queue="nobody")
    stores.kill("temporal")
    await stores.supervisor.until_ready("temporal")
    again = await Client.connect(stores.environment["TEMPORAL_ADDRESS"])
    assert (await again.get_workflow_handle("kept").describe()).id == "kept"
    described = await again.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace="default"))
    assert described.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION
    assert timedelta(days=7) < RETENTION


async def test_one_stack_at_a_time_in_a_directory(stores: EmbeddedStack) -> None:
    with pytest.raises(Conflict, match="already"):
        await EmbeddedStack(stores.layout.root, parts=STORES).start()
    assert running(stores.layout.root) is not None


async def test_two_stacks_side_by_side_and_nothing_left(stores: EmbeddedStack, tmp_path: Path) -> None:
    other = EmbeddedStack(tmp_path / "other", ephemeral=True, parts=STORES)
    async with other:
        assert not set(other.environment["DATABASE_URL"].split("@")) & set(
            stores.environment["DATABASE_URL"].split("@")
        )
        found = [ProcessIdentity.of(other.supervisor.pid(name)) for name in STORES]
        await ping(other)
    assert not any(identity is not None and identity.alive() for identity in found)
    assert await count(stores) == 1000
    remove_data(tmp_path / "other")


async def test_data_of_another_password_are_refused_at_once(tmp_path: Path) -> None:
    """As where root's data lie apart, and only the data directory was removed by hand and made again."""
    folder = tmp_path / "data"
    async with EmbeddedStack(folder, parts=("postgres",)) as stack:
        kept = stack.layout.root / "secrets.json"
    secrets = kept.read_text()
    kept.unlink()
    begun = time.monotonic()
    with pytest.raises(ConfigurationError, match="do not take the password") as refused:
        async with EmbeddedStack(folder, parts=("postgres",)):
            pass
    assert time.monotonic() - begun < 15, "it waited for a server that would never let it in"
    assert "secrets.json" in refused.value.remedy
    kept.write_text(secrets)
    async with EmbeddedStack(folder, parts=("postgres",)):
        pass
    remove_data(folder)


def test_a_pid_file_that_names_another_process_is_taken_away(tmp_path: Path) -> None:
    (tmp_path / "postmaster.pid").write_text(f"{os.getpid()}\n{tmp_path}\n")
    clear_stale_pid(tmp_path)
    assert not (tmp_path / "postmaster.pid").exists()


PROGRAM = """
import asyncio, sys
from pathlib import Path
from pavo.deploy.local.stack import EmbeddedStack, STORES

async def main():
    async with EmbeddedStack(Path(sys.argv[1]), ephemeral=True, parts=STORES) as stack:
        print("ready", *(str(stack.supervisor.pid(name)) for name in STORES), flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def read_ready(process: "subprocess.Popen[str]") -> list[int]:
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:1] == ["ready"], words
    return [int(word) for word in words[1:]]


@pytest.mark.fault
@pytest.mark.skipif(sys.platform != "linux", reason="other systems cannot tie a child's life to its parent's")
async def test_killing_the_supervisor_ends_every_part(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    with subprocess.Popen([sys.executable, "-c", PROGRAM, folder], stdout=subprocess.PIPE, text=True) as process:
        try:
            found = [ProcessIdentity.of(pid) for pid in read_ready(process)]
        finally:
            process.kill()
    for identity in found:
        assert identity is None or await identity.wait_gone(10)
    async with EmbeddedStack(folder, ephemeral=True, parts=STORES) as stack:
        assert stack.supervisor.pid("postgres")
    remove_data(folder)


def python_for_others(environment: dict[str, str]) -> str | None:
    """A Python that an unprivileged user may run, of this one's version."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    for candidate in (sys.executable, f"/usr/bin/python{version}", f"/usr/local/bin/python{version}"):
        command = [candidate, "-c", "import redis.asyncio, psycopg, pavo.deploy.local.stack"]
        with contextlib.suppress(OSError):
            done = subprocess.run(
                command, user=65534, group=65534, extra_groups=[], env=environment, cwd="/", check=False
            )
            if done.returncode == 0:
                return candidate
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as this user, who is not root, already")
async def test_the_stores_run_without_root() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, 65534, 65534)
        # Before 3.11.3 the Redis client wants this package, which has become a part of Python.
        (Path(folder) / "async_timeout.py").write_text("from asyncio import timeout as timeout\n")
        packages = f"{ROOT / 'src'}:{sysconfig.get_path('purelib')}:{folder}"
        environment = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": packages}
        python = python_for_others(environment)
        if python is None:
            pytest.skip("no Python of this version that others than root may run")
        with subprocess.Popen(
            [python, "-c", PROGRAM, f"{folder}/data"],
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            cwd=folder,
            user=65534,
            group=65534,
            extra_groups=[],
        ) as process:
            try:
                pids = read_ready(process)
                assert all(Path(f"/proc/{pid}").stat().st_uid == 65534 for pid in pids)
                assert (Path(folder) / "data").stat().st_mode & 0o777 == 0o700
            finally:
                process.kill()
        for pid in pids:
            identity = ProcessIdentity.of(pid)
            assert identity is None or await identity.wait_gone(10)
