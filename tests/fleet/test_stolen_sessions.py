"""What is asked apart from a stream is answered to the program that greeted last as the agent, and to nobody else."""

import uuid
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from pavo.jobs.contracts import START_EXECUTION
from pavo.protocol import fleet_pb2 as pb
from pavo.protocol.limits import PROGRAM
from tests.driving import until
from tests.fleet.conftest import Gateway
from tests.fleet.fake_agent import FakeAgent, agent
from tests.fleet.rows import Job, Rows
from tests.fleet.test_sessions import is_away

SHORT = "UPDATE jobs SET lease_until = pavo_now() + interval '5 seconds' WHERE id = :id"
LONG = "SELECT lease_until > pavo_now() + interval '30 seconds' AS long FROM jobs WHERE id = :id"
BYTES = "SELECT bytes FROM artifacts WHERE subject_id = :id"
FILES = "SELECT name FROM artifacts WHERE subject_id = :id"

COMMAND = (
    "INSERT INTO job_commands (id, job_id, epoch, kind, round, request) VALUES (:id, :job, 1, '{kind}', 0, ''::bytea)"
)
UNTOUCHED = """
SELECT c.accepted_at, c.result, j.stage, a.cleanup_owed, a.commit,
    (SELECT count(*) FROM job_logs l WHERE l.job_id = j.id) AS lines
FROM job_commands c JOIN jobs j ON j.id = c.job_id JOIN job_attempts a ON a.job_id = j.id
WHERE c.id = :id AND j.id = :job
"""


def renewing(there: FakeAgent, job: Job) -> Any:
    asked = pb.RenewRequest(agent="builder", session=1, jobs=[pb.RunningJob(job_id=job.id, epoch=job.epoch)])
    return there.stub.Renew(asked, metadata=there.metadata)


def credential(there: FakeAgent, job: Job) -> Any:
    asked = pb.CredentialRequest(job_id=job.id, epoch=job.epoch, purpose="git", host="git.example.com")
    return there.stub.Credential(asked, metadata=there.metadata)


def file(there: FakeAgent, job: Job) -> Any:
    part = pb.ArtifactPart(job_id=job.id, epoch=job.epoch, name="patch", content=b"theirs")
    return there.stub.PutArtifact(iter([part]), metadata=there.metadata)


CALLS: list[Callable[[FakeAgent, Job], Any]] = [renewing, credential, file]


async def nothing_is_answered(there: FakeAgent, rows: Rows, job: Job) -> None:
    await rows.run(SHORT, id=job.uuid)
    for call in CALLS:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call(there, job)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED, call
        assert "Another program runs as this agent" in (refused.value.details() or ""), call
        assert "--name" in (refused.value.details() or ""), call
    assert not (await rows.one(LONG, id=job.uuid)).long
    assert await rows.run(FILES, id=job.uuid) == []


async def all_is_answered(there: FakeAgent, rows: Rows, job: Job) -> None:
    await rows.run(SHORT, id=job.uuid)
    assert [each.yours for each in (await renewing(there, job)).jobs] == [True]
    assert (await rows.one(LONG, id=job.uuid)).long
    await credential(there, job)
    assert (await file(there, job)).bytes == 6


async def test_the_same_token_under_another_agents_name(gateway: Gateway, rows: Rows) -> None:
    """A token that is bound to no name opens no other agent's jobs."""
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "thief") as thief:
        await builder.connect()
        await thief.connect()
        job = await rows.job()
        await nothing_is_answered(thief, rows, job)  # by its own boot id
        for more in ((PROGRAM, "a guess"),), ((PROGRAM, ""),), ():
            thief.metadata = (thief.metadata[0], *more)
            await nothing_is_answered(thief, rows, job)
        await all_is_answered(builder, rows, job)


async def test_a_program_that_another_has_displaced(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as older, agent(gateway.address, token) as newer:
        await older.connect()
        job = await rows.job()
        await all_is_answered(older, rows, job)
        await rows.run("DELETE FROM artifacts WHERE subject_id = :id", id=job.uuid)
        await nothing_is_answered(newer, rows, job)  # it has not greeted yet
        await newer.connect()  # as where the program was started anew on the same machine
        await nothing_is_answered(older, rows, job)
        await all_is_answered(newer, rows, job)


async def test_a_program_that_is_displaced_while_its_file_is_on_its_way(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as older, agent(gateway.address, token) as newer:
        await older.connect()
        job = await rows.job()
        call = older.stub.PutArtifact(metadata=older.metadata)
        await call.write(pb.ArtifactPart(job_id=job.id, epoch=job.epoch, name="patch", content=b"older"))
        await renewing(older, job)
        await newer.connect()
        await file(newer, job)
        await call.done_writing()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await call
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert "Another program runs as this agent" in (refused.value.details() or "")
        assert [each.bytes for each in await rows.run(BYTES, id=job.uuid)] == [6]


async def test_the_same_program_goes_on_while_it_is_away_and_after_it_came_back(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await builder.close()
        await until(lambda: is_away(rows), what="the agent counts as away")
        await all_is_answered(builder, rows, job)
        await builder.connect()
        await all_is_answered(builder, rows, job)


async def test_whether_a_token_is_taken_is_told_beside_the_agent_that_runs(gateway: Gateway, rows: Rows) -> None:
    """As `pavo agent doctor` asks, which is a program of its own."""
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token) as doctor:
        await builder.connect()
        asked = pb.RenewRequest(agent="builder")
        assert not (await doctor.stub.Renew(asked, metadata=doctor.metadata)).jobs


async def test_an_older_stream_writes_nothing_once_a_newer_session_has_begun(gateway: Gateway, rows: Rows) -> None:
    """At another gateway: this one learns of it from the row alone, when the older program says something."""
    async with agent(gateway.address, await rows.token()) as older:
        await older.connect()
        job, command = await rows.job(), str(uuid.uuid4())
        of = {"job": job.uuid, "id": uuid.UUID(command)}
        await rows.run(COMMAND.format(kind=START_EXECUTION), **of)
        await rows.run("UPDATE job_attempts SET cleanup_owed = true WHERE job_id = :job", job=job.uuid)
        named = {"command_id": command, "job_id": job.id, "epoch": job.epoch}
        said = [
            pb.FromAgent(accepted=pb.Accepted(command_id=command)),
            pb.FromAgent(working=pb.Working(stage="EXECUTING", **named)),
            pb.FromAgent(log=pb.LogChunk(job_id=job.id, epoch=job.epoch, lines=[pb.LogLine(seq=1, text="older")])),
            pb.FromAgent(result=pb.Result(cleaned=pb.Cleaned(), **named)),
            pb.FromAgent(result=pb.Result(executed=pb.Executed(commit="c", changed=True), **named)),
        ]
        for message in said:
            await rows.run("UPDATE remote_agents SET session = session + 1 WHERE id = :id", id=await rows.agent_id())
            await older.send(message)
            assert "newer session" in (await older.goodbye()).reason, message
            assert tuple(await rows.one(UNTOUCHED, **of)) == (None, None, "CLAIMED", True, None, 0), message
            await older.connect()
        await older.send(said[-1])  # as it is sent again, in the newest session
        await older.until(lambda: older.of("result_ack"))
        assert (await rows.one(UNTOUCHED, **of)).result is not None


async def test_a_name_that_no_row_holds_is_no_fault_of_the_gateway(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await builder.stub.Renew(pb.RenewRequest(agent="build\0er"), metadata=builder.metadata)
        assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
