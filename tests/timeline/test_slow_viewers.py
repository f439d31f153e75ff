"""Viewers that read slowly or never: what they cost the API and the others, and how they go on."""

import asyncio
import json
import re
import socket
import time
import uuid
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack, aclosing, asynccontextmanager, contextmanager, suppress
from datetime import datetime
from functools import partial
from pathlib import Path

import httpx2
import pytest
import uvicorn
import uvloop
from fastapi import FastAPI, Response
from redis.asyncio import Redis
from uvicorn.server import ServerState

from pavo.config import Settings
from pavo.kit.listening.connection import Connection
from pavo.kit.listening.connections import Connections
from pavo.kit.listening.limits import Limits
from pavo.kit.open_files import allow_open_files
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.timeline import service
from pavo.timeline.domain import NewEvent, Subject
from pavo.timeline.follow import Follower
from pavo.timeline.http import EventStream, Position, stream_or_no_content
from pavo.timeline.publish import Publisher
from pavo.timeline.viewers import Budget, Following
from pavo.timeline.watching import WatchService
from tests.driving import Tasks, until
from tests.parts import Parts, free_port

LARGE = "x" * 60_000


class Teller:
    """Appends large events to a timeline and publishes them."""

    def __init__(self, database: Database, publisher: Publisher, timeline_id: uuid.UUID) -> None:
        self._database, self._publisher, self._timeline_id = database, publisher, timeline_id

    async def tell(self, count: int, event: NewEvent | None = None, *, close: bool = False) -> None:
        event = event or NewEvent("large", {"text": LARGE})
        for number in range(count):
            async with self._database.transaction() as session:
                last = close and number == count - 1
                recorded = await service.append(session, self._timeline_id, [event], close=last)
            self._publisher.publish(recorded)


@asynccontextmanager
async def telling(database: Database, redis: Redis, timeline_id: uuid.UUID) -> AsyncGenerator[Teller]:
    publisher = Publisher(redis)
    publisher.start()
    try:
        yield Teller(database, publisher, timeline_id)
    finally:
        await publisher.close()


@contextmanager
def sluggish(port: int, path: str, last: int = 0) -> Generator[socket.socket]:
    """A viewer that reads only when the test does."""
    with socket.socket() as viewer:
        viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        viewer.connect(("127.0.0.1", port))
        viewer.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nLast-Event-ID: {last}\r\n\r\n".encode()
        )
        yield viewer


def read_to_the_end(viewer: socket.socket) -> bytes:
    viewer.settimeout(10)
    found = b""
    while data := viewer.recv(1_000_000):
        found += data
    return found


def memory_mb(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1]) / 1_000


async def healthy(port: int, task_id: str, seen: list[int]) -> None:
    """Reads at once until the end of the stream."""
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        client.stream("GET", f"/api/tasks/{task_id}/stream") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("id: "):
                seen.append(int(line[4:]))


async def test_slow_viewers_cost_little_and_the_memory_returns(
    parts: Parts, tasks: Tasks, database: Database, redis: Redis
) -> None:
    port, task_id, events, slow = free_port(), await tasks.create(), 150, 150
    api = await parts.start("api", PAVO_PORT=str(port), PAVO_SEND_SECONDS="3", PAVO_VIEWERS_MB="8")
    seen: list[int] = []
    path = f"/api/tasks/{task_id}/stream"
    async with telling(database, redis, uuid.UUID(task_id)) as teller:
        with ExitStack() as opened:
            viewers = [opened.enter_context(sluggish(port, path)) for _ in range(slow)]
            watching = asyncio.create_task(healthy(port, task_id, seen))

            async def connected() -> bool:
                return bool(seen)

            await until(connected, what="the first event")
            before = memory_mb(api.pid)
            peak = before
            for _ in range(events // 5):
                await teller.tell(5)
                for viewer in viewers[: slow // 2]:  # half of them read a little, half never
                    viewer.setblocking(False)
                    with suppress(BlockingIOError, ConnectionError):
                        viewer.recv(1)
                peak = max(peak, memory_mb(api.pid))
            await teller.tell(1, close=True)
            await asyncio.wait_for(watching, 30)
            assert seen == list(range(1, events + 3)), "who reads gets each event once, in order"
            assert peak - before < 60, f"{slow} slow viewers took {peak - before:.0f} MB for {events * 60 // 1000} MB"

        async def returned() -> bool:
            return memory_mb(api.pid) - before < 30

        await until(returned, what="the memory's return")
    api.end()


async def lags(port: int, task_id: str, count: int) -> list[float]:
    """How many seconds after its time each event arrived, in order of length."""
    found: list[float] = []
    async with (
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        client.stream("GET", f"/api/tasks/{task_id}/stream") as answer,
    ):
        async for line in answer.aiter_lines():
            if line.startswith("data: ") and (event := json.loads(line[6:]))["type"] == "small":
                found.append(time.time() - datetime.fromisoformat(event["at"]).timestamp())
                if len(found) == count:
                    break
    return sorted(found)


@pytest.mark.serial
async def test_others_wait_for_no_thousand_that_never_read(
    parts: Parts, tasks: Tasks, database: Database, redis: Redis
) -> None:
    """Neither while large events come for them, nor when they are cut, all at once: they came at once."""
    port, slow, count = free_port(), 1_000, 120
    crowded, task_id = await tasks.create(), await tasks.create()
    api = await parts.start("api", PAVO_PORT=str(port), PAVO_SEND_SECONDS="2")
    allow_open_files(slow + 500)
    async with (
        telling(database, redis, uuid.UUID(crowded)) as teller,
        telling(database, redis, uuid.UUID(task_id)) as small,
    ):
        with ExitStack() as opened:
            viewers = [opened.enter_context(sluggish(port, f"/api/tasks/{crowded}/stream")) for _ in range(slow)]
            for viewer in viewers:
                viewer.settimeout(20)
                await asyncio.to_thread(viewer.recv, 4_096)  # its stream has begun
            watching = asyncio.create_task(lags(port, task_id, count))
            for number in range(count):
                await small.tell(1, NewEvent("small", {}))
                if number < 40:
                    await teller.tell(1)
                await asyncio.sleep(0.05)  # the rhythm of what is measured
            found = await watching
            with suppress(ConnectionResetError):
                await asyncio.to_thread(read_to_the_end, viewers[0])  # to its end: it was cut
    p50, p99 = found[count // 2] * 1_000, found[int(count * 0.99) - 1] * 1_000
    print(f"\n{count} events beside {slow} viewers that never read: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    assert p99 < 100
    api.end()


@pytest.fixture
def follower_with_little(database: Database, redis: Redis) -> Follower:
    return Follower(database, redis, Budget(100_000, 250_000))


async def test_the_slowest_are_cut_with_a_reason_and_go_on(
    database: Database, redis: Redis, follower_with_little: Follower, settings: Settings
) -> None:
    follower, timeline_id = follower_with_little, uuid.uuid4()
    await follower.start()
    async with database.transaction() as session:
        await service.create(session, timeline_id, NewEvent("made"))
    async with (
        served(WatchService(database, follower), follower) as port,
        telling(database, redis, timeline_id) as teller,
    ):
        path = f"/{timeline_id}"
        before = metrics.VIEWERS_CUT.values[()]
        with ExitStack() as opened:
            await teller.tell(10)
            viewers = [opened.enter_context(sluggish(port, path, last=n % 8)) for n in range(16)]
            await teller.tell(30)

            async def cut() -> bool:
                return metrics.VIEWERS_CUT.values[()] > before

            await until(cut, what="the end of the slowest", seconds=15)
            await teller.tell(1, close=True)
            found = await asyncio.gather(*(asyncio.to_thread(read_to_the_end, viewer) for viewer in viewers))
        assert follower.budget.held == 0
        ends = [answer for answer in found if b": ended: too much waits for slow viewers" in answer]
        assert ends, "some were cut"
        for answer in ends:
            assert answer.endswith(b"\n\n\r\n0\r\n\r\n"), "a whole answer"
            last = int(re.findall(rb"id: (\d+)", answer)[-1])
            with sluggish(port, path, last) as again:
                rest = re.findall(rb"id: (\d+)", await asyncio.to_thread(read_to_the_end, again))
            assert [int(number) for number in rest] == list(range(last + 1, 43))
    await follower.close()


class Delaying(WatchService):
    """Finds what is to be streamed, and hands it over when the test says so."""

    def __init__(self, database: Database, follower: Follower) -> None:
        super().__init__(database, follower)
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()
        self.found: list[Following] = []

    async def stream(
        self, subject: Subject, after: int, *, until_rest: bool = False, deltas: bool = False
    ) -> Following | None:
        found = await super().stream(subject, after, until_rest=until_rest, deltas=deltas)
        assert found is not None
        self.found.append(found)
        self.asked.set()
        await self.go_on.wait()
        return found


async def test_who_leaves_before_the_answer_is_watched_for_no_longer(
    database: Database, redis: Redis, follower: Follower, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing else would ever tell the source of it, and a traceback for each would keep the API busy for seconds."""
    timeline_id, connections = uuid.uuid4(), Connections(Limits())
    async with database.transaction() as session:
        await service.create(session, timeline_id, NewEvent("made"))
    watching = Delaying(database, follower)
    async with served(watching, follower, connections) as port:
        with sluggish(port, f"/{timeline_id}"):
            await asyncio.wait_for(watching.asked.wait(), 10)

        async def gone() -> bool:
            return not connections.count

        await until(gone, what="the client to be gone")
        watching.go_on.set()

        async def left() -> bool:
            return all(following.left for following in watching.found)

        await until(left, what="the source to be told")
        assert follower.viewers == 0
    assert not [record for record in caplog.records if record.exc_info]


def test_a_stream_that_begins_on_a_closed_connection_is_none() -> None:
    """On the API's own event loop, whose transports refuse everything once they are closed."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(begins_after_the_end())


async def begins_after_the_end() -> None:
    connection = Connection(uvicorn.Config(FastAPI()), ServerState(), {}, connections=Connections(Limits()))
    ours, theirs = socket.socketpair()
    with theirs:
        transport, _ = await asyncio.get_running_loop().connect_accepted_socket(lambda: connection, ours)
        transport.abort()

        async def closed() -> bool:
            return connection not in connection.connections

        await until(closed, what="the end of the connection")
        connection.begin_stream()


@asynccontextmanager
async def served(
    watching: WatchService, follower: Follower, connections: Connections | None = None
) -> AsyncGenerator[int]:
    """Streams of timelines on a port, on the listener of the API."""
    app = FastAPI()

    @app.get("/{timeline_id}", response_class=EventStream)
    async def stream(timeline_id: uuid.UUID, position: Position) -> Response:  # pyright: ignore[reportUnusedFunction]
        return stream_or_no_content(await watching.stream(Subject(timeline_id), position))

    http = partial(Connection, connections=connections or Connections(Limits()))
    settled = {"lifespan": "off", "log_config": None, "timeout_graceful_shutdown": 2}
    config = uvicorn.Config(app, http=http, **settled)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            follower.dismiss()
            server.should_exit = True
            await serving


async def test_pages_and_catching_up_end_by_bytes(database: Database, redis: Redis, follower: Follower) -> None:
    timeline_id = uuid.uuid4()
    async with database.transaction() as session:
        await service.create(session, timeline_id, NewEvent("made"))
        await service.append(session, timeline_id, [NewEvent("large", {"text": LARGE})] * 40)
    async with database.transaction() as session:
        await service.append(session, timeline_id, [NewEvent("end")], close=True)
    watching, seen = WatchService(database, follower), list[int]()
    while True:
        page = await watching.events(timeline_id, seen[-1] if seen else 0, 1_000)
        if not page.events:
            break
        assert sum(len(event.as_json()) for event in page.events) < 1_100_000
        seen += [event.seq for event in page.events]
    assert seen == list(range(1, 43))
    async with aclosing(follower.follow(timeline_id, 0)) as found:
        largest = 0
        numbers: list[int] = []
        async for events in found:
            largest = max(largest, sum(len(data) for _, data in events))
            numbers += [seq for seq, _ in events]
    assert numbers == seen and largest < 300_000
    async with database.reading() as session:
        [one] = await service.read_after(session, timeline_id, 1, 10, 100)
        assert one.seq == 2, "one is always given"
