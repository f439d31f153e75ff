"""A full disk is told as one: a database on a small file system of its own, filled to the last byte."""

import asyncio
import os
import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import psycopg
import pytest
import pytest_asyncio

from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import PartState, StackState, Urls, write
from pavo.errors import DiskFull
from pavo.kit.migrate import upgrade
from pavo.kit.processes import ProcessIdentity
from pavo.kit.sql import Database, translated
from tests.driving import until
from tests.parts import Parts, Stores, free_port

SIZE_MB = 24


@pytest.fixture(scope="module")
def small_disk(stores: Stores) -> Iterator[Path]:
    """A small file system, which the PostgreSQL of the tests may write to."""
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        found = connection.execute("SELECT setting FROM pg_settings WHERE name = 'data_directory'").fetchone()
    if os.geteuid() != 0 or found is None or not Path(found[0]).exists():
        pytest.skip("needs root, and a PostgreSQL on this machine")
    folder = Path(tempfile.mkdtemp(prefix="pavo-small-disk-"))
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("file systems cannot be mounted here")
    owner = Path(found[0]).stat()
    (folder / "space").mkdir()
    os.chown(folder / "space", owner.st_uid, owner.st_gid)
    folder.chmod(0o711)
    yield folder
    subprocess.run(["umount", folder], check=True)
    folder.rmdir()


@pytest.fixture(scope="module")
def database_url(stores: Stores, small_disk: Path) -> Iterator[str]:
    name = f"small_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        connection.execute(f"CREATE TABLESPACE {name} LOCATION '{small_disk / 'space'}'".encode())
        connection.execute(f"CREATE DATABASE {name} TABLESPACE {name}".encode())
        url = re.sub(r"/[^/?]+(\?|$)", rf"/{name}\1", stores.database_url)
        upgrade(url)
        yield url
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        connection.execute(f"DROP TABLESPACE {name}".encode())


@pytest_asyncio.fixture
async def api(parts: Parts, database_url: str) -> AsyncIterator[httpx2.AsyncClient]:
    port = free_port()
    api = await parts.start("api", PAVO_PORT=str(port), DATABASE_URL=database_url)
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        yield client
    api.end()


async def test_a_full_disk_is_told_as_one_and_is_over_when_there_is_space(
    api: httpx2.AsyncClient, small_disk: Path, tmp_path: Path
) -> None:
    large = {"title": "Large", "prompt": "".join(uuid.uuid4().hex for _ in range(5_000))}
    assert (await api.post("/api/tasks", json=large)).status_code == 201

    async def ready() -> bool:
        return (await api.get("/readyz")).status_code == 200

    await until(ready, what="readiness")
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as writing:
        try:
            while True:
                writing.write(b"x" * 4_096)
        except OSError:
            pass
    answers = [await api.post("/api/tasks", json=large) for _ in range(40)]
    refused = next(answer for answer in answers if answer.status_code != 201)
    problem = refused.json()
    assert refused.status_code == 503 and int(refused.headers["Retry-After"]) > 1
    assert (problem["code"], problem["dependency"]) == ("DiskFull", "disk")
    assert "disk" in problem["detail"] and "space" in problem["remedy"]
    state = (await api.get("/readyz")).json()
    assert not state["ready"] and "disk" in state["postgres"]
    assert (await api.get("/api/tasks")).status_code == 200, "reading goes on"
    told = await asyncio.to_thread(status_of_stack, str(api.base_url), tmp_path)
    assert told.returncode == 5 and "space" in told.stdout and "postgres" in told.stdout, told
    filler.unlink()
    await until(ready, what="readiness")
    assert (await asyncio.to_thread(status_of_stack, str(api.base_url), tmp_path)).returncode == 0
    assert (await api.post("/api/tasks", json=large)).status_code == 201


def status_of_stack(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What `pavo status` says of a stack of which this is the API."""
    me = ProcessIdentity.of(os.getpid())
    assert me is not None
    part = PartState("api", "ready", os.getpid(), url, 0, "api.log")
    urls = Urls(url.rstrip("/"), url, url, "")
    write(Layout(folder), StackState(me, True, False, str(folder), (part,), urls, {}))
    command = [Path(sys.executable).with_name("pavo"), "status", "--data-dir", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


async def test_what_breaks_off_for_lack_of_space_is_told_so(database: Database) -> None:
    for error in (psycopg.OperationalError("FATAL:  could not write: No space left on device"), OSError(28, "full")):
        with pytest.raises(DiskFull), translated():
            raise error
    await database.check_space()
