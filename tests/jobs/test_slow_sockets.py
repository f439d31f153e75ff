"""Clients of WebSockets and event streams that never read: what they cost, and that they are ended."""

import asyncio
import re
import socket
import uuid
from collections.abc import AsyncIterator, Generator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

import pytest_asyncio
from sqlalchemy import text

from pavo.jobs.live import repository
from pavo.kit.sql import Database
from tests.driving import until
from tests.jobs.organisations import Person, add_job
from tests.jobs.test_api_logs import URL
from tests.parts import Part, Parts, free_port

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
CLIENTS = 30


@pytest_asyncio.fixture(scope="module")
async def api(parts: Parts) -> AsyncIterator[tuple[Part, int]]:
    """An API of its own that ends clients who take nothing for two seconds."""
    port = free_port()
    part = await parts.start("api", PAVO_PORT=str(port), PAVO_SEND_SECONDS="2")
    yield part, port
    part.end()


@contextmanager
def never_reading(port: int, path: str, email: str) -> Generator[socket.socket]:
    """A client that has opened a WebSocket, or a stream of events, and takes nothing of it."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nX-User-Email: {email}\r\n"
        socket_wanted = "/ws" in path
        if socket_wanted:
            head += "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            head += f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
        client.sendall(f"{head}\r\n".encode())
        assert client.recv(12) == (b"HTTP/1.1 101" if socket_wanted else b"HTTP/1.1 200")
        yield client


def memory_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1_000


def taken(client: socket.socket) -> int:
    """How many bytes there are until the end of the connection."""
    count = 0
    with suppress(ConnectionResetError):
        while data := client.recv(1_000_000):
            count += len(data)
    return count


async def held(api: tuple[Part, int], owner: Person, path: str, whole: int) -> None:
    """Clients that never read cost bounded memory, and are ended long before the end."""
    part, port = api
    email = owner.client.headers["X-User-Email"]
    with ExitStack() as opened:
        first = opened.enter_context(never_reading(port, path, email))
        assert await asyncio.to_thread(first.recv, 100), "what there is to read comes"
        before = peak = memory_mb(part.pid)
        clients = [opened.enter_context(never_reading(port, path, email)) for _ in range(CLIENTS)]

        async def ended() -> bool:
            nonlocal peak
            peak = max(peak, memory_mb(part.pid))
            return not connections(port)

        await until(ended, seconds=60, what="the end of those who take nothing")
        for client in clients:
            assert await asyncio.to_thread(taken, client) < whole / 4
    assert peak - before < 4 * CLIENTS, f"{CLIENTS} clients took {peak - before:.0f} MB"


def connections(port: int) -> int:
    """Connections that the API has open to clients, by the kernel's table."""
    local = f":{port:04X}"
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(local) and row[3] == "01" for row in rows)


async def long_log(database: Database, owner: Person) -> tuple[uuid.UUID, int]:
    """A job with a log; its size in bytes."""
    site = await owner.post("repositories", status=201, name="site", clone_url=URL)
    job = await add_job(database, owner.organisation_id, site["id"], stage="EXECUTING", epoch=1)
    lines, size = 2_000, 10_000
    async with database.transaction() as session:
        begin = text("INSERT INTO timelines (id, last_seq) VALUES (:job, 0)")
        await session.execute(begin, {"job": job})
        add = """
        INSERT INTO job_logs (job_id, epoch, seq, at, stage, level, source, text)
        SELECT :job, 1, n, :at, 'EXECUTING', 'info', 'program', repeat('x', :size) FROM generate_series(1, :lines) n
        """
        await session.execute(text(add), {"job": job, "at": datetime.now(UTC), "size": size, "lines": lines})
    return job, lines * size


async def test_of_a_job(database: Database, owner: Person, api: tuple[Part, int]) -> None:
    job, whole = await long_log(database, owner)
    await held(api, owner, f"/api/jobs/{job}/ws", whole)


async def test_of_a_stream_of_log_lines(database: Database, owner: Person, api: tuple[Part, int]) -> None:
    job, whole = await long_log(database, owner)
    await held(api, owner, f"/api/jobs/{job}/logs/stream", whole)


async def test_of_an_organisation(database: Database, owner: Person, api: tuple[Part, int]) -> None:
    changes = 20_000
    async with database.transaction() as session:
        add = """
        INSERT INTO job_changes (organisation_id, xid, at, job_id, data)
        SELECT :organisation, pg_current_xact_id()::text::bigint, pavo_now(), :job, jsonb_build_object(
            'stage', 'QUEUED', 'kind', 'backlog', 'priority', 50, 'epoch', 0, 'deleted', false)
        FROM generate_series(1, :changes)
        """
        values = {"organisation": owner.organisation_id, "job": uuid.uuid4(), "changes": changes}
        cursor = "SELECT pg_current_xact_id()::text || '.0.' || extract(epoch FROM pavo_now())::bigint"
        after = (await session.scalars(text(cursor))).one()
        await session.execute(text(add), values)
    await held(api, owner, f"/api/orgs/{owner.organisation_id}/ws?after={after}", changes * 150)


async def test_of_an_organisation_with_its_logs(database: Database, owner: Person, api: tuple[Part, int]) -> None:
    async with database.reading() as session:
        after = await repository.here(session)
    job, whole = await long_log(database, owner)
    async with database.transaction() as session:
        add = """
        INSERT INTO job_log_additions (organisation_id, xid, at, job_id, epoch, first_seq, last_seq)
        SELECT :organisation, pg_current_xact_id()::text::bigint, pavo_now(), :job, 1, 1, 2000
        """
        await session.execute(text(add), {"organisation": owner.organisation_id, "job": job})
    await held(api, owner, f"/api/orgs/{owner.organisation_id}/ws?logs=true&after={after}", whole)
