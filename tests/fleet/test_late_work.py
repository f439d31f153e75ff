"""What lost attempts have done after all: kept on their fenced branches, shown, adopted, declined."""

import json
import sqlite3
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from pavo.accounts.domain import Identity
from pavo.accounts.secrets.sealing import KeyRing
from pavo.accounts.secrets.service import SecretService
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import Conflict, NotFound, WrongStage
from pavo.jobs import contracts as c
from pavo.jobs.service import JobService
from pavo.jobs.sql.attempts import end_attempt
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb
from pavo.timeline.publish import Publisher
from tests.driving import until
from tests.fleet.conftest import SEALING_KEY, Commands, Gateway, start_gateway
from tests.fleet.fake_agent import FakeAgent, agent, result_of
from tests.fleet.rows import Job, Rows
from tests.forges.small_forge import Forge
from tests.parts import Parts, free_port
from tests.remote.test_agent_program import Agents

LONG = 60.0


@pytest_asyncio.fixture
async def service(database: Database, settings: Settings) -> AsyncIterator[JobService]:
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    yield JobService(database, publisher, None)  # type: ignore[arg-type]  # no workflow is asked here
    await publisher.close()
    await redis.aclose()


async def lose(rows: Rows, job: Job, *, cancelled: bool = False) -> None:
    """The lease of the attempt ran out."""
    if cancelled:
        await rows.run("UPDATE jobs SET cancel_asked_at = pavo_now() WHERE id = :id", id=job.uuid)
    async with rows.database.transaction() as session:
        why = (c.ENDED_LOST, "LeaseExpired", "It was not heard.", "Look at it.")
        assert (await end_attempt(session, job.uuid, job.epoch, None, *why, cleaned=False)).wrote


async def claim(rows: Rows, job: Job, agent_name: str = "builder") -> Job:
    """Another attempt at the job."""
    await rows.run(
        "UPDATE jobs SET epoch = epoch + 1, stage = 'CLAIMED', agent_id = :agent, attempts = attempts + 1, "
        "lease_until = pavo_now() + interval '10 minutes' WHERE id = :id",
        id=job.uuid,
        agent=await rows.agent_id(agent_name),
    )
    epoch = (await rows.of_job(job)).epoch
    await rows.attempt(job.uuid, epoch, agent_name)
    return Job(job.id, epoch)


async def attempt_of(rows: Rows, job: Job) -> Any:
    return await rows.one(
        "SELECT * FROM job_attempts WHERE job_id = :id AND epoch = :epoch", id=job.uuid, epoch=job.epoch
    )


async def late_events(rows: Rows, job: Job) -> list[Any]:
    found = await rows.run(
        "SELECT data FROM events WHERE timeline_id = :id AND type = 'late_work' ORDER BY seq", id=job.uuid
    )
    return [each.data for each in found]


async def credential(there: FakeAgent, job: Job, branch: str = "", purpose: str = "git") -> Any:
    asked = pb.CredentialRequest(job_id=job.id, epoch=job.epoch, purpose=purpose, host="git.example.com", branch=branch)
    return await there.stub.Credential(asked, metadata=there.metadata)


async def refused(there: FakeAgent, job: Job, branch: str = "", purpose: str = "git") -> grpc.StatusCode:
    with pytest.raises(grpc.aio.AioRpcError) as told:
        await credential(there, job, branch, purpose)
    assert "s3cr3t" not in (told.value.details() or "")
    return told.value.code()


def to_keep(there: FakeAgent) -> list[pb.Command]:
    return [each for each in there.of("command") if each.HasField("keep_late_work")]


async def test_a_lost_attempt_may_push_to_its_fenced_branch_alone(
    gateway: Gateway, rows: Rows, sealed: Settings, database: Database
) -> None:
    await SecretService(database, KeyRing.of(sealed.sealing)).set(rows.organisation_id, "GIT_TOKEN", "s3cr3t-of-git")
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "other") as other:
        await builder.connect()
        await other.connect()
        job = await rows.job(repository=await rows.repository(credential="GIT_TOKEN"))
        branch, fenced = f"pavo/{job.id}", f"pavo/{job.id}--epoch-1"
        held = await credential(builder, job, branch)
        assert (held.password, held.push_branch) == ("s3cr3t-of-git", branch)
        assert await refused(builder, job, "main") == grpc.StatusCode.PERMISSION_DENIED
        assert await refused(builder, job, fenced) == grpc.StatusCode.PERMISSION_DENIED  # it is not lost
        await lose(rows, job)
        late = await credential(builder, job, fenced)
        assert (late.password, late.push_branch) == ("s3cr3t-of-git", fenced)
        newer = await claim(rows, job, "other")
        assert (await credential(builder, job, fenced)).password  # also beside a newer attempt
        for wrong in ("", branch, "main", f"{branch}--epoch-2", f"{fenced}x", f"refs/heads/{fenced}"):
            assert await refused(builder, job, wrong) == grpc.StatusCode.FAILED_PRECONDITION, wrong
        assert await refused(builder, job, fenced, "forge") == grpc.StatusCode.FAILED_PRECONDITION
        assert await refused(other, newer, fenced) == grpc.StatusCode.PERMISSION_DENIED
        command = (await builder.until(lambda: to_keep(builder)))[0]
        asked = command.keep_late_work
        assert (command.epoch, asked.branch, asked.push_branch) == (1, branch, fenced)
        await builder.answer(command, published=pb.Published(commit="c0ffee", branch=fenced))
        assert await refused(builder, job, fenced) == grpc.StatusCode.FAILED_PRECONDITION  # it owes nothing any more
        attempt = await attempt_of(rows, job)
        assert (attempt.late_work, attempt.branch, attempt.commit) == ("kept", fenced, "c0ffee")
        told = {"epoch": 1, "state": "kept", "finished": False, "branch": fenced, "commit": "c0ffee"}
        assert await late_events(rows, job) == [told]
        debt = (await builder.until(lambda: [each for each in builder.of("command") if each.HasField("cleanup")]))[0]
        await builder.answer(debt, cleaned=pb.Cleaned())
        assert not (await attempt_of(rows, job)).cleanup_owed
        assert (await rows.of_job(job)).stage == "CLAIMED" and not other.of("command")


async def test_a_worktree_is_not_removed_before_its_work_is_kept(gateway: Gateway, rows: Rows) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        lost, ended = await rows.job(), await rows.job()
        await builder.close()
        await lose(rows, lost)
        await lose(rows, ended, cancelled=True)  # nobody wants it
        assert (await attempt_of(rows, ended)).late_work is None
        welcome = await builder.connect()
        assert [each.job_id for each in welcome.debts] == [ended.id]
        command = (await builder.until(lambda: to_keep(builder)))[0]
        assert command.job_id == lost.id
        failure = pb.Failure(type="PushRefused", cause="A rule of the server.")
        await builder.answer(command, failure=failure)
        attempt = await attempt_of(rows, lost)
        assert (attempt.late_work, attempt.late_reason) == ("owed", "PushRefused: A rule of the server.")
        assert await late_events(rows, lost) == []
        await rows.run(
            "UPDATE job_commands SET ended_at = ended_at - interval '1 hour' WHERE job_id = :id", id=lost.uuid
        )
        again = (await builder.until(lambda: [each for each in to_keep(builder) if each.id != command.id]))[0]
        await builder.close()
        await builder.connect()  # the same command, for it was not answered
        assert (await builder.until(lambda: to_keep(builder)))[0] == again
        assert not [each for each in builder.of("command") if each.HasField("cleanup") and each.job_id == lost.id]
        await builder.answer(again, failure=pb.Failure(type="WorkspaceLost", cause="It is not there."))
        assert (await attempt_of(rows, lost)).late_work == "nothing"  # no program was ever begun
        await builder.until(lambda: [each for each in builder.of("command") if each.HasField("cleanup")])


async def test_what_is_gone_is_told(gateway: Gateway, rows: Rows, commands: Commands) -> None:
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await commands.start(job, (await rows.of_agent()).queue)
        command = await builder.command()
        await builder.accept(command)
        await lose(rows, job)
        await builder.answer(command, executed=pb.Executed(changed=True, commit="abc", summary="Done."))
        [stored] = [each for each in await rows.commands(job) if each.kind == c.START_EXECUTION]
        assert stored.late and (await attempt_of(rows, job)).finished
        keep = (await builder.until(lambda: to_keep(builder)))[0]
        await builder.answer(keep, failure=pb.Failure(type="WorkspaceLost", cause="It is not there."))
        [told] = await late_events(rows, job)
        assert (told["state"], told["finished"], told["reason"]) == ("gone", True, "It is not there.")


async def test_late_work_is_declined(gateway: Gateway, rows: Rows, stranger_rows: Rows, service: JobService) -> None:
    who, stranger = member(rows), member(stranger_rows)
    async with agent(gateway.address, await rows.token()) as builder:
        await builder.connect()
        job = await rows.job()
        await builder.close()
        await lose(rows, job)
        for wrong, epoch in ((stranger, 1), (who, 7)):
            with pytest.raises(NotFound):
                await service.decline(wrong, job.uuid, epoch)
        with pytest.raises(Conflict, match="has not pushed"):
            await service.adopt(who, job.uuid, 1)
        await service.decline(who, job.uuid, 1)
        await service.decline(who, job.uuid, 1)
        [told] = await late_events(rows, job)
        assert (told["state"], told["by"]) == ("declined", who.email)
        assert [each.epoch for each in (await builder.connect()).debts] == [1]
        fenced = f"pavo/{job.id}--epoch-1"
        assert await refused(builder, job, fenced) == grpc.StatusCode.FAILED_PRECONDITION
        late = c.RunCommand(job.id, 1, c.KEEP_LATE_WORK).command_id
        known = pb.Command(id=late, job_id=job.id, epoch=1)
        await builder.answer(known, published=pb.Published(commit="c0ffee", branch=fenced))  # nobody asked for it
        assert (await attempt_of(rows, job)).late_work == "declined"
        with pytest.raises(Conflict, match="nothing"):
            await service.adopt(who, job.uuid, 1)


def member(rows: Rows) -> Identity:
    return Identity(uuid.uuid4(), "ada@example.com", rows.organisation_id, (rows.organisation_id,))


async def test_an_answer_of_another_agent_keeps_nothing(gateway: Gateway, rows: Rows) -> None:
    token = await rows.token()
    async with agent(gateway.address, token) as builder, agent(gateway.address, token, "thief") as thief:
        await builder.connect()
        await thief.connect()
        job = await rows.job()
        await lose(rows, job)
        command = (await builder.until(lambda: to_keep(builder)))[0]
        await thief.send(pb.FromAgent(result=result_of(command, published=pb.Published(commit="evil", branch="x"))))
        assert "another agent" in (await thief.goodbye()).reason
        attempt = await attempt_of(rows, job)
        assert (attempt.late_work, attempt.commit) == ("owed", None)


@pytest.mark.fault
async def test_a_program_that_finishes_late_is_pushed_beside_a_newer_attempt_and_adopted(
    parts: Parts,
    gateway: Gateway,
    rows: Rows,
    commands: Commands,
    sealed: Settings,
    database: Database,
    service: JobService,
    small_forge: Forge,
    repository: str,
    tmp_path: Path,
) -> None:
    """The real program, the real gateway, real git: its gateway dies, its lease ends, and its program finishes."""
    await SecretService(database, KeyRing.of(sealed.sealing)).set(
        rows.organisation_id, "GIT_TOKEN", "token-that-writes"
    )
    where = await rows.repository(
        clone_url=small_forge.clone_url(repository), credential="GIT_TOKEN", forge="gitea", forge_url=small_forge.url
    )
    port, token, flag = free_port(), await rows.token(), tmp_path / "go"
    own = await start_gateway(parts, port, PAVO_SEALING_KEY=SEALING_KEY)
    agents = Agents(tmp_path, port, token, "builder")
    try:
        agents.start()
        queue = await until(lambda: queue_of(rows), what="the agent is there", seconds=LONG)
        job = await rows.job(repository=where)
        script = f"touch begun; for i in $(seq 600); do [ -e {flag} ] && break; sleep 0.1; done; echo late > late.txt"
        options = json.dumps({"command": script})
        await rows.run("UPDATE jobs SET options = CAST(:o AS jsonb) WHERE id = :id", o=options, id=job.uuid)
        await commands.start(job, queue)

        async def begun() -> bool:
            places = agents.state / "work" / "worktrees"
            return places.is_dir() and any((each / "begun").exists() for each in places.iterdir())

        await until(begun, what="the program runs", seconds=LONG)
        own.part.kill()
        await lose(rows, job)
        async with agent(gateway.address, token, "other") as other:
            await other.connect()
            newer = await claim(rows, job, "other")
            flag.touch()
            await until(lambda: has_result(agents.state), what="the program has finished", seconds=LONG)
            own = await start_gateway(parts, port, PAVO_SEALING_KEY=SEALING_KEY)
            await until(lambda: is_cleaned(rows, job), what="it is kept, then cleaned up", seconds=LONG)
            attempt, fenced = await attempt_of(rows, job), f"pavo/{job.id}--epoch-1"
            assert (attempt.late_work, attempt.finished, attempt.branch) == ("kept", True, fenced)
            assert small_forge.branch(repository, fenced) == attempt.commit
            assert small_forge.file(repository, fenced, "late.txt") == "late"
            assert small_forge.branch(repository, f"pavo/{job.id}") is None and small_forge.of(repository) == []
            row = await rows.of_job(job)
            assert (row.epoch, row.stage) == (newer.epoch, "CLAIMED") and not other.of("command")
            with pytest.raises(WrongStage):
                await service.adopt(member(rows), job.uuid, 1)
        async with database.transaction() as session:
            await end_attempt(session, job.uuid, newer.epoch, None, c.ENDED_FAILED, "ProgramFailed", "no", "look")
        await service.adopt(member(rows), job.uuid, 1)
        adopting = await claim(rows, job)
        assert (await service.adopt(member(rows), job.uuid, 1)).adopts == 1  # again, while it is taken over
        queue = await until(lambda: queue_of(rows), what="the agent is there", seconds=LONG)
        done = await (await commands.start(adopting, queue)).result()
        assert done == c.CommandOutcome("done", changed=True)
        assert (await (await commands.start(adopting, queue, c.CREATE_PULL_REQUEST)).result()).kind == "done"
        assert small_forge.branch(repository, f"pavo/{job.id}") == attempt.commit
        assert [each.sha for each in small_forge.of(repository)] == [attempt.commit]
    finally:
        agents.end()
        own.part.end()


async def queue_of(rows: Rows) -> str | None:
    found = await rows.run(
        "SELECT queue FROM remote_agents WHERE organisation_id = :id AND name = 'builder'", id=rows.organisation_id
    )
    return found[0].queue if found else None


async def is_cleaned(rows: Rows, job: Job) -> bool:
    return not (await attempt_of(rows, job)).cleanup_owed


async def has_result(state: Path) -> bool:
    with sqlite3.connect(state / "journal.db") as journal:
        [[count]] = journal.execute("SELECT count(*) FROM commands WHERE result IS NOT NULL").fetchall()
    return bool(count)
