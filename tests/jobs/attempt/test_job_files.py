"""Patch and report of attempts: what is in them, whose they are, and that no attempt replaces another one's."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import WorkflowFailureError

from pavo.artifacts import recording
from pavo.artifacts.service import ArtifactService
from pavo.artifacts.wiring import Keeping, build_keeping
from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import Forbidden, Unavailable
from pavo.jobs import contracts as c
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.attempt.contracts import EndAttempt
from pavo.jobs.attempt.job_files import JobFile, JobFiles, put_aside
from pavo.jobs.attempt.reports import AttemptReports
from pavo.kit.sql import Database
from pavo.protocol.fleet_pb2 import Executed, FileChange, Result, Tokens
from pavo.runs.fence import Fence
from pavo.timeline.publish import Publisher
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import failure, verified


@pytest.fixture
def keeping(settings: Settings) -> Keeping:
    found = build_keeping(settings)
    assert found is not None
    return found


@pytest_asyncio.fixture
async def publisher(settings: Settings) -> AsyncIterator[Publisher]:
    redis = build_redis(settings)
    publisher = Publisher(redis)
    publisher.start()
    yield publisher
    await publisher.close()
    await redis.aclose()


async def names(database: Database, job: uuid.UUID) -> list[str]:
    async with database.reading() as session:
        return [each.name for each in await recording.listed(session, job, "", 100)]


async def content(database: Database, settings: Settings, job: uuid.UUID, name: str) -> str:
    keeping = build_keeping(settings)
    assert keeping is not None
    opened = await ArtifactService(database, keeping.store).open(job, name, "job")
    with open(opened.descriptor, "rb") as file:
        return file.read().decode()


async def keep(files: JobFiles, keeping: Keeping, job: uuid.UUID, epoch: int, said: bytes, name: str = "patch") -> None:
    staged = await asyncio.to_thread(keeping.store.stage, said)
    await files.keep(JobFile(HeldJob(job, epoch), name, "text/plain", staged))
    await asyncio.to_thread(keeping.store.discard, staged)


async def test_the_report_of_a_job_that_is_done(given: Given, database: Database, settings: Settings) -> None:
    job = await given.job(title="Mend `it` @all", prompt="Fix this:\n```\nnow\n```")
    files = [FileChange(path="a|b.txt", change="added", added=3)]
    done = Executed(changed=True, commit="c0ffee", summary="I *mended* it.", files=files)
    done.tokens.CopyFrom(Tokens(input=1_200, output=34))
    given.agent.will(c.START_EXECUTION, Result(executed=done))
    assert await (await given.start(job)).result() == "DONE"
    told = await content(database, settings, job, "report")
    assert told.startswith("# Mend it all\n\nIt is done.") and "https://forge.example/pulls/7" in told
    for wanted in ("```\nnow", "I *mended* it.", "| `lint` | passed |", "a b.txt", "by the agent smith", "c0ffee"):
        assert wanted in told, (wanted, told)
    assert "1,200 tokens in, 34 out" in told
    [event] = [each for each in await given.events(job) if each.type == "artifact_added"]
    assert (event.data["name"], event.data["epoch"], event.data["media_type"]) == ("report", 1, "text/markdown")


async def test_reports_of_attempts_that_failed_and_what_becomes_of_them(
    given: Given, database: Database, settings: Settings, keeping: Keeping, publisher: Publisher
) -> None:
    job = await given.job(rounds=0)
    files = JobFiles(database, publisher, keeping)
    given.agent.will(c.RUN_VERIFICATION, verified("tests"))
    handle = await given.start(job)
    await keep(files, keeping, job, 1, b"of the first")
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    told = await content(database, settings, job, "report")
    assert "It failed." in told and "**VerificationFailed**" in told and "| `tests` | failed (1) |" in told
    assert await names(database, job) == ["patch", "report"]
    given.agent.will(c.START_EXECUTION, failure("NoSpace"))
    await given.claim(job)
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job, 2)).result()
    assert await names(database, job) == ["epoch-1/patch", "epoch-1/report", "report"]
    told = await content(database, settings, job, "report")
    assert "NoSpace: because." in told and "Mend it." in told and "attempt 2" in told
    await keep(files, keeping, job, 1, b"late")  # the first one again: it replaces its own alone
    assert await names(database, job) == ["epoch-1/patch", "epoch-1/report", "report"]
    assert await content(database, settings, job, "epoch-1/patch") == "late"


async def test_files_go_under_the_number_of_their_own_attempt(
    given: Given, database: Database, settings: Settings, keeping: Keeping, publisher: Publisher
) -> None:
    job, files = await given.job(), JobFiles(database, publisher, keeping)

    async def begin(epoch: int) -> None:
        async with database.transaction() as session:
            await put_aside(session, HeldJob(job, epoch), Fence("run", epoch, 1))

    await begin(1)
    await keep(files, keeping, job, 1, b"one")
    await given.claim(job)  # whose workflow never begins
    await given.claim(job)
    await keep(files, keeping, job, 1, b"one, and more")  # before the third has begun: it is late already
    assert await names(database, job) == ["epoch-1/patch", "patch"]
    await begin(2)  # it is over
    assert await names(database, job) == ["epoch-1/patch", "patch"]
    await begin(3)
    assert await names(database, job) == ["epoch-1/patch"]
    assert await content(database, settings, job, "epoch-1/patch") == "one, and more"
    begun = "UPDATE jobs SET generation = 3, transition = 1 WHERE id = :id"
    async with database.transaction() as session:
        await session.execute(text(begun), {"id": job})
    await keep(files, keeping, job, 3, b"three")
    await begin(3)  # of a worker that stood still
    assert await names(database, job) == ["epoch-1/patch", "patch"]
    await given.claim(job)
    await begin(4)
    assert await names(database, job) == ["epoch-1/patch", "epoch-3/patch"]
    with pytest.raises(Forbidden):
        await keep(files, keeping, uuid.uuid4(), 1, b"of nobody")


async def test_a_report_that_cannot_be_kept_holds_nothing_up(
    given: Given,
    database: Database,
    keeping: Keeping,
    publisher: Publisher,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = await given.job()
    ending = EndAttempt(str(job), 1, Fence("run", 1, 1), c.ENDED_CANCELLED)

    def away(*_: object) -> None:
        raise Unavailable("The store is away.", dependency="artifacts")

    reports = AttemptReports(database, publisher, keeping, "USD")
    with monkeypatch.context() as patch:
        patch.setattr(type(keeping.store), "stage", away)
        await reports.write(HeldJob(job, 1), ending)
    assert "ends without a report" in caplog.text and await names(database, job) == []
    await AttemptReports(database, publisher, None, "USD").write(HeldJob(job, 1), ending)
    await reports.write(HeldJob(job, 7), ending)  # there is no such attempt
    assert await names(database, job) == []
    await reports.write(HeldJob(job, 1), ending)
    assert await names(database, job) == ["report"]
    async with database.transaction() as session:
        await session.execute(text("UPDATE jobs SET stage = 'DONE' WHERE id = :id"), {"id": job})
    await reports.write(HeldJob(job, 1), replace(ending, how=c.ENDED_FAILED))  # it is over
    owner, sha256 = given.who.organisation_id, await _sha(database, job)
    assert "cancelled" in await asyncio.to_thread(_read, keeping, sha256, owner)


async def _sha(database: Database, job: uuid.UUID) -> str:
    async with database.reading() as session:
        [found] = await recording.listed(session, job, "", 10)
    return found.sha256


def _read(keeping: Keeping, sha256: str, organisation_id: uuid.UUID) -> str:
    with open(keeping.store.open(organisation_id, sha256), "rb") as file:
        return file.read().decode()
