"""Log lines: stored once, none lost, none of others; floods and garbage change nothing."""

import asyncio
import contextlib
import time
import uuid
from typing import Any, cast

import grpc
from redis.asyncio import Redis
from sqlalchemy import text

from pavo.jobs.sql.log_lines import log_channel
from pavo.protocol import fleet_pb2 as pb
from tests.driving import until
from tests.fleet.conftest import Gateway
from tests.fleet.fake_agent import FakeAgent, agent, chunk_of
from tests.fleet.rows import Job, Rows
from tests.parts import Stores

LINES = 30_000
ASKS_SECONDS = 15.0


async def test_lines_are_stored_once_and_announced(gateway: Gateway, rows: Rows, stores: Stores) -> None:
    redis = Redis.from_url(stores.redis_url)
    async with agent(gateway.address, await rows.token()) as builder, redis.pubsub() as heard:
        await builder.connect()
        job = await rows.job()
        await heard.subscribe(log_channel(job.id))
        await rows.run("UPDATE jobs SET heard_at = pavo_now() - interval '1 hour' WHERE id = :id", id=job.uuid)
        await builder.log(job.id, 1, 1, ["one", "two"])
        await builder.log(job.id, 1, 2, ["two", "three"])
        await builder.logged(job.id, 1, 3)
        assert [each.text for each in await rows.lines(job)] == ["one", "two", "three"]
        said, listener = list[bytes](), cast(Any, heard)

        async def is_told() -> bool:
            message: Any = await listener.get_message(ignore_subscribe_messages=True, timeout=0.2)
            said.extend([message["data"]] if message else [])
            return b"1-3" in said

        await until(is_told, what="the last line is announced")
        query = "SELECT heard_at > pavo_now() - interval '1 minute' AS heard FROM jobs WHERE id = :id"
        assert (await rows.one(query, id=job.uuid)).heard
    await redis.aclose()


async def test_holes_are_told_and_odd_values_are_stored(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        odd = [
            pb.LogLine(seq=1, at_ms=-5, level="shout", stage="NONE", source="s" * 500, text="a\0b", event="[1]"),
            pb.LogLine(seq=5, at_ms=2**62, text="x" * 50_000, event='{"type": "message"}'),
            pb.LogLine(seq=6, text="after", gap=40, event='{"a": "\\u0000"}'),
            pb.LogLine(seq=7, text="\N{SNOWMAN}" * 9_000, event="[" * 30_000),
        ]
        await builder.send(pb.FromAgent(log=pb.LogChunk(job_id=job.id, epoch=1, lines=odd)))
        await builder.logged(job.id, 1, 7)
        first, second, third, fourth = await rows.lines(job)
        assert (first.text, first.level, first.stage, len(first.source), first.event) == ("a�b", "info", "", 200, None)
        assert (second.gap, second.event) == (3, {"type": "message"})  # 2, 3 and 4 are missing
        assert len(second.text.encode()) <= 16_384 and second.text.endswith("(cut by the gateway)")
        assert (third.gap, third.event) == (40, None)
        assert (fourth.gap, fourth.event) == (0, None) and len(fourth.text.encode()) <= 16_384


async def test_lines_of_a_lost_attempt_are_kept_under_its_number(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job(epoch=2)
        await rows.attempt(job.uuid, 1)
        await rows.run("UPDATE jobs SET heard_at = pavo_now() - interval '1 hour' WHERE id = :id", id=job.uuid)
        await builder.log(job.id, 1, 1, ["late"])
        await builder.logged(job.id, 1, 1)
        query = "SELECT heard_at > pavo_now() - interval '1 minute' AS heard FROM jobs WHERE id = :id"
        assert not (await rows.one(query, id=job.uuid)).heard
        assert [each.text for each in await rows.lines(Job(job.id, 1))] == ["late"]


async def test_lines_of_a_job_that_is_gone_are_dropped(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        gone = str(uuid.uuid4())
        await builder.log(gone, 1, 1, ["nobody"])
        await builder.logged(gone, 1, 1)
        job = await rows.job()
        await builder.log(job.id, 1, 1, ["one"])
        await builder.logged(job.id, 1, 1)
        await rows.run("DELETE FROM jobs WHERE id = :id", id=job.uuid)
        await builder.log(job.id, 1, 2, ["two"])
        await builder.logged(job.id, 1, 2)
        assert await rows.lines(job) == [] and builder.ended is None


async def test_lines_of_others_end_the_session(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "thief") as thief:
        await builder.connect()
        await thief.connect()
        job = await rows.job()
        await thief.log(job.id, 1, 1, ["not mine"])
        assert "another agent" in (await thief.goodbye()).reason
        assert await rows.lines(job) == [] and builder.ended is None


async def test_lines_that_cannot_be_stored_are_not_acknowledged_nor_are_those_after_them(
    gateway: Gateway, rows: Rows
) -> None:
    """PostgreSQL refuses a line: its agent is told and has it still; others of the same group have theirs stored."""
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "quiet") as quiet:
        await builder.connect()
        await quiet.connect()
        job, other = await rows.job(), await rows.job("quiet")
        await rows.run("ALTER TABLE job_logs ADD CONSTRAINT refuses CHECK (text <> 'refused') NOT VALID")
        try:
            async with rows.database.transaction() as held:  # what comes meanwhile is one group
                await held.execute(text("LOCK TABLE job_logs IN EXCLUSIVE MODE"))
                await taken(builder, await builder.log(job.id, 1, 1, ["stored"]))
                await taken(builder, await builder.log(job.id, 1, 2, ["refused"]))
                await taken(builder, await builder.log(job.id, 1, 3, ["after it"]))
                await taken(quiet, await quiet.log(other.id, 1, 1, ["of another"]))
            said = await builder.goodbye()
            assert "cannot be stored" in said.reason and said.remedy and not said.come_back
            await quiet.logged(other.id, 1, 1)
            assert builder.acked(job.id, 1) <= 1 and quiet.ended is None
            assert [each.text for each in await rows.lines(job)] == ["stored"]
        finally:
            await rows.run("ALTER TABLE job_logs DROP CONSTRAINT refuses")
        welcome = await builder.connect(running=[pb.RunningJob(job_id=job.id, epoch=1, last_log_seq=3)])
        assert [each.acked_log_seq for each in welcome.jobs] == [1], "it sends the others again"
        await builder.log(job.id, 1, 2, ["refused", "after it"])
        await builder.logged(job.id, 1, 3)
        assert [(each.text, each.gap) for each in await rows.lines(job)] == [
            ("stored", 0),
            ("refused", 0),
            ("after it", 0),
        ]


async def test_lines_that_come_once_more_after_later_ones_take_no_acknowledgement_back(
    gateway: Gateway, rows: Rows
) -> None:
    """All of them are stored together; the agent would else keep the last ones, and wait for ever."""
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        async with rows.database.transaction() as held:  # what comes meanwhile is one group
            await held.execute(text("LOCK TABLE job_logs IN EXCLUSIVE MODE"))
            await taken(builder, await builder.log(job.id, 1, 1, ["one", "two", "three"]))
            await taken(builder, await builder.log(job.id, 1, 4, ["four"]))
            await taken(builder, await builder.log(job.id, 1, 2, ["two", "three"]))
        await builder.logged(job.id, 1, 4)
        assert [each.seq for each in await rows.lines(job)] == [1, 2, 3, 4]


async def taken(there: FakeAgent, chunk: pb.LogChunk) -> None:
    """Wait until the gateway has taken a chunk, stored or not: it answers a greeting that came after it."""
    number = chunk.lines[-1].seq + 1_000
    await there.send(pb.FromAgent(ping=pb.Ping(number=number)))
    await there.until(lambda: [each for each in there.of("pong") if each.number == number])


async def test_numbers_that_fall_end_the_session(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        lines = [pb.LogLine(seq=2, text="two"), pb.LogLine(seq=1, text="one")]
        await builder.send(pb.FromAgent(log=pb.LogChunk(job_id=job.id, epoch=1, lines=lines)))
        assert "seq: Line 1" in (await builder.goodbye()).reason


async def test_a_flood_ends_the_session_and_nobody_else_is_touched(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as flooder, agent(gateway.address, token, "quiet") as quiet:
        welcome = await flooder.connect()
        await quiet.connect()
        job, other = await rows.job(), await rows.job("quiet")
        texts = ["x" * 16_000] * 200  # 3.2 MB, thrice the credit
        await flooder.log(job.id, 1, 1, texts)
        said = await flooder.goodbye()
        assert f"{welcome.log_credit:,}" in said.reason and said.remedy
        assert await rows.lines(job) == []
        await quiet.log(other.id, 1, 1, ["still here"])
        await quiet.logged(other.id, 1, 1)


async def test_a_message_that_is_too_large_ends_the_stream(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        await builder.send(pb.FromAgent(working=pb.Working(command_id="x" * 6_000_000)))
        await builder.until(lambda: builder.ended)
        await builder.connect()  # nothing worse has come of it


async def test_garbage_ends_one_stream_alone(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "quiet") as quiet:
        await quiet.connect()
        raw = cast(Any, builder.channel).stream_stream("/pavo.fleet.v1.Fleet/Connect")
        stream = raw(metadata=builder.metadata)
        await stream.write(builder.hello().SerializeToString()[::-1])
        await stream.write(b"\xff" * 1_000)
        assert await stream.code() is not None
        for port in (gateway.address,):
            host, _, number = port.rpartition(":")
            _, writer = await asyncio.open_connection(host, int(number))
            writer.write(b"GET / HTTP/1.1\r\n\r\n" + b"\0" * 10_000)
            writer.close()
        await quiet.send(pb.FromAgent(ping=pb.Ping(number=3)))
        await quiet.until(lambda: quiet.of("pong"))
        await builder.connect()


async def test_thirty_thousand_lines_without_loss(gateway: Gateway, rows: Rows) -> None:
    """Three agents that keep to their credit."""
    token = await rows.token()
    names = ["one", "two", "three"]
    agents = [agent(gateway.address, token, name) for name in names]
    there = [await each.__aenter__() for each in agents]
    try:
        await asyncio.gather(*(each.connect() for each in there))
        jobs = [await rows.job(name) for name in names]
        begun = time.monotonic()
        await asyncio.gather(*(pour(each, job, LINES // 3) for each, job in zip(there, jobs, strict=True)))
        rate = LINES / (time.monotonic() - begun)
        for job in jobs:
            query = "SELECT count(*) AS lines, sum(gap) AS gaps, max(seq) AS last FROM job_logs WHERE job_id = :id"
            found = await rows.one(query, id=job.uuid)
            assert (found.lines, found.gaps, found.last) == (LINES // 3, 0, LINES // 3)
        print(f"{rate:,.0f} lines a second")
    finally:
        for each in agents:
            await each.__aexit__(None, None, None)


async def pour(there: FakeAgent, job: Job, count: int) -> None:
    """Send so many lines of 80 characters, never more unacknowledged than half the credit."""
    sizes: list[tuple[int, int]] = []
    for first in range(1, count + 1, 250):
        chunk = chunk_of(job.id, 1, first, ["x" * 80] * 250)
        sizes.append((first + 249, chunk.ByteSize()))
        await there.send(pb.FromAgent(log=chunk))
        await there.until(lambda: unacknowledged(there, job, sizes) < 500_000)
    await there.logged(job.id, 1, count, seconds=60)


def unacknowledged(there: FakeAgent, job: Job, sizes: list[tuple[int, int]]) -> int:
    """Bytes of chunks, each with its last line, that are not stored yet; what is stored is forgotten."""
    sizes[:] = [each for each in sizes if each[0] > there.acked(job.id, 1)]
    return sum(size for _, size in sizes)


async def test_who_never_reads_costs_bounded_memory(gateway: Gateway, rows: Rows) -> None:
    """A raw stream of which nothing is read, and which asks for answers without an end."""
    token = await rows.token()
    async with agent(gateway.address, token) as builder:
        stream = builder.stub.Connect(metadata=builder.metadata)
        await stream.write(pb.FromAgent(hello=builder.hello()))

        before, asked = memory_mb(gateway.part.pid), 0
        with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError, TimeoutError):
            async with asyncio.timeout(ASKS_SECONDS):
                while True:
                    await stream.write(pb.FromAgent(ping=pb.Ping(number=asked)))
                    asked += 1
        assert asked > 100
        assert memory_mb(gateway.part.pid) - before < 50

        async def is_over() -> bool:
            row = await rows.of_agent()
            return row.gateway is None and row.queue is None

        await until(is_over, what="the end of the session of who never reads")
        stream.cancel()
    async with agent(gateway.address, token, "another") as another:
        await another.connect()


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * 4096 / 1e6
