"""Properties of a gateway, named after what they hold: hypothesis draws examples; the process, its streams and the
stores are real."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any, cast

from hypothesis import strategies as st
from redis.asyncio import Redis
from temporalio.service import RPCError

from pavo.jobs import contracts as c
from pavo.jobs.sql.log_lines import log_channel
from pavo.protocol import fleet_pb2 as pb
from tests.drawing import examples
from tests.driving import until
from tests.fleet.conftest import Commands, Gateway
from tests.fleet.fake_agent import agent, result_of
from tests.fleet.rows import Rows
from tests.parts import Stores

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=200)
NEVER, SENT, ACCEPTED, ANSWERED = "never", "once it is sent", "once it is accepted", "once it is answered"
Chunk = tuple[int, Sequence[str]]
"""How far its first line is from the one that would come next, and its texts."""
CHUNKS = st.lists(st.tuples(st.integers(-3, 3), st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=5)


async def test_command_invocation_over_grpc(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    """The agent is told what the row says, by an id that stays the same, and the workflow what the agent answers,
    wherever the stream is cut in between."""
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()

        async def check(example: tuple[str, str, bool]) -> None:
            prompt, cut, changed = example
            job = await rows.job()
            await rows.run("UPDATE jobs SET prompt = :prompt WHERE id = :id", id=job.uuid, prompt=prompt)
            running = await commands.start(job, (await rows.of_agent()).queue)
            name = c.command_id(job.id, 1, c.START_EXECUTION, 0)
            command = await builder.command(name)
            assert (command.job_id, command.epoch, command.start_execution.prompt) == (job.id, 1, prompt)
            outcome: dict[str, Any] = {"executed": pb.Executed(changed=changed, commit="c0ffee", summary=prompt)}
            if cut in (ACCEPTED, ANSWERED):
                await builder.accept(command)
            if cut == ANSWERED:
                await builder.send(pb.FromAgent(result=result_of(command, **outcome)))
            if cut != NEVER:
                await builder.close()
                known = [pb.RunningJob(job_id=job.id, epoch=1, command_ids=[command.id])] if cut != SENT else []
                await builder.connect(running=known)
                with contextlib.suppress(RPCError):  # it has its answer already
                    await running.signal("route", (await rows.of_agent()).queue)
            if cut in (SENT, ACCEPTED):
                assert await builder.command(name) == command
            await builder.answer(command, **outcome)
            async with asyncio.timeout(60):
                assert await running.result() == c.CommandOutcome("done", changed=changed)
            [stored] = await rows.commands(job)
            assert str(stored.id) == name and stored.ended_at and not stored.late
            assert pb.Result.FromString(stored.result).executed.summary == prompt

        await examples(st.tuples(WORDS, st.sampled_from([NEVER, SENT, ACCEPTED, ANSWERED]), st.booleans()), check)


def numbered(chunks: Sequence[Chunk]) -> tuple[list[tuple[int, list[str]]], dict[int, tuple[str, int]]]:
    """The chunks with the numbers of their first lines; and each line that is to be kept, with its gap."""
    sent, kept, last, run = list[tuple[int, list[str]]](), dict[int, tuple[str, int]](), 0, 1
    for off, texts in chunks:
        first = max(run, last + 1 + off)  # what was left out is lost: an agent never finds it again
        run = first if first > last + 1 else run
        said = [kept.get(seq, (text, 0))[0] for seq, text in enumerate(texts, first)]  # what was sent, is sent the same
        for seq, text in enumerate(said, first):
            if seq > last:
                kept[seq], last = (text, seq - last - 1), seq
        sent.append((first, said))
    return sent, kept


async def test_logs_persisted(gateway: Gateway, rows: Rows) -> None:
    """Every line that was acknowledged is there once, as it was said and in its order, with what is missing told;
    however chunks overlap, repeat each other and leave some out."""
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()

        async def check(chunks: Sequence[Chunk]) -> None:
            job = await rows.job()
            sent, kept = numbered(chunks)
            for first, texts in sent:
                await builder.log(job.id, 1, first, texts)
            await builder.logged(job.id, 1, max(kept))
            assert {each.seq: (each.text, each.gap) for each in await rows.lines(job)} == kept

        await examples(CHUNKS, check)


async def test_logs_broadcast(gateway: Gateway, rows: Rows, stores: Stores) -> None:
    """Who listens to a job is told of its lines up to the last, and of none that cannot be read yet, nor of another
    job's."""
    redis = Redis.from_url(stores.redis_url)
    async with agent(gateway.address, await rows.token()) as builder, redis.pubsub() as heard:
        await builder.connect()
        listener = cast(Any, heard)

        async def check(chunks: Sequence[Chunk]) -> None:
            job, other = await rows.job(), await rows.job()
            await listener.subscribe(log_channel(job.id))
            sent, kept = numbered(chunks)
            told: list[int] = []

            async def is_told() -> bool:
                message = await listener.get_message(ignore_subscribe_messages=True, timeout=0.2)
                if message:
                    assert message["channel"].decode() == log_channel(job.id)
                    epoch, _, seq = message["data"].decode().partition("-")
                    there = {each.seq for each in await rows.lines(job)}
                    assert epoch == "1" and int(seq) in there
                    told.append(int(seq))
                return max(kept) in told

            await builder.log(other.id, 1, 1, ["of another"])
            for first, texts in sent:
                await builder.log(job.id, 1, first, texts)
            await until(is_told, what="the last line is announced")
            await listener.unsubscribe(log_channel(job.id))

        await examples(CHUNKS, check)
    await redis.aclose()
