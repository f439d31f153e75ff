"""What people do with jobs that are over: queue again, have a review answered, adopt; and looking at the workflow."""

import uuid

import pytest
from sqlalchemy import insert, update
from temporalio.client import Client, WorkflowFailureError

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.errors import Conflict, InvalidInput, WrongStage
from pavo.jobs import contracts as c
from pavo.jobs.commands import JobCommands
from pavo.jobs.service import JobService
from pavo.jobs.sql.models import JobAttemptRow, JobCommandRow, JobRow
from pavo.kit.ids import new_id
from pavo.protocol.fleet_pb2 import Command, Published, Result, StartExecution
from pavo.runs.presence import Presence
from tests.jobs.attempt.at_work import AtWork
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import failure, kinds


async def failed(given: Given) -> uuid.UUID:
    job = await given.job()
    given.agent.will(c.START_EXECUTION, failure("NoSpace"))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job)).result()
    return job


async def test_a_failed_job_is_queued_again_with_all_its_attempts(given: Given, service: JobService) -> None:
    job = await failed(given)
    row = await service.requeue(given.who, job)
    assert (row.stage, row.attempts, row.error, row.ended_at, row.outcome) == ("QUEUED", 0, None, None, None)
    assert (await service.requeue(given.who, job)).stage == "QUEUED"
    assert [event.type for event in await given.events(job)][-2:] == ["queued", "stage"]
    assert await given.claim(job) == 2
    assert await (await given.start(job, 2)).result() == "DONE"
    with pytest.raises(WrongStage, match="DONE"):
        await service.requeue(given.who, job)


async def test_rework_goes_before_the_backlog_on_the_same_branch(given: Given, service: JobService) -> None:
    job = await given.job()
    await (await given.start(job)).result()
    branch = (await given.row(job)).branch
    with pytest.raises(InvalidInput):
        await service.rework(given.who, job, "  ")
    row = await service.rework(given.who, job, "Shorter.")
    assert (row.stage, row.kind, row.feedback, row.branch) == ("QUEUED", "rework", "Shorter.", branch)
    row = await service.rework(given.who, job, "And faster.")
    assert row.feedback == "Shorter.\n\nAnd faster."
    assert row.pull_request_url is not None, "the pull request stays"
    await given.claim(job)
    with pytest.raises(WrongStage):
        await service.rework(given.who, job, "Once more.")


async def lost(given: Given, **late: object) -> uuid.UUID:
    """A job whose first attempt was lost, and failed in the second."""
    job = await given.job()
    async with given.database.transaction() as session:
        mine = (JobAttemptRow.job_id == job, JobAttemptRow.epoch == 1)
        await session.execute(update(JobAttemptRow).where(*mine).values(ended="lost", **late))
    await given.claim(job)
    given.agent.will(c.START_EXECUTION, failure("NoSpace"))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job, 2)).result()
    return job


async def test_what_a_lost_attempt_published_is_adopted(given: Given, service: JobService) -> None:
    job = await lost(given)
    branch = f"pavo/{job}--epoch-1"
    result = Result(published=Published(url="https://forge.example/pulls/9", number=9, commit="abc", branch=branch))
    row = {"id": uuid.uuid4(), "job_id": job, "epoch": 1, "kind": c.CREATE_PULL_REQUEST, "request": b"", "late": True}
    async with given.database.transaction() as session:
        await session.execute(insert(JobCommandRow).values(result=result.SerializeToString(), **row))
    adopted = await service.adopt(given.who, job, 1)
    assert (adopted.stage, adopted.outcome, adopted.commit, adopted.error) == ("DONE", "published", "abc", None)
    assert (adopted.pull_request_number, adopted.branch) == (9, branch)
    assert (await given.attempt(job)).adopted_at is not None
    count = len(await given.events(job))
    assert (await service.adopt(given.who, job, 1)).stage == "DONE"
    assert len(await given.events(job)) == count, "adopted once"


async def test_what_a_lost_attempt_pushed_is_gone_on_with(given: Given, service: JobService) -> None:
    job = await lost(given, branch="pavo/x--epoch-1", commit="c0ffee", late_work="kept")
    branch = (await given.row(job)).branch
    adopted = await service.adopt(given.who, job, 1)
    assert (adopted.stage, adopted.kind, adopted.branch, adopted.adopts) == ("QUEUED", "rework", branch, 1)
    assert (await service.adopt(given.who, job, 1)).adopts == 1
    assert [event.type for event in await given.events(job)].count("adopted") == 1
    nothing = await lost(given)
    with pytest.raises(Conflict, match="nothing"):
        await service.adopt(given.who, nothing, 1)
    await given.claim(job)
    with pytest.raises(WrongStage):
        await service.adopt(given.who, job, 2)


async def test_adopted_work_is_published_by_the_next_attempt_and_not_done_anew(
    given: Given, service: JobService
) -> None:
    """After DONE, too; what fails to be adopted can be adopted again, and a new queueing does it from the beginning."""
    job = await given.job(review=True)
    async with given.database.transaction() as session:
        mine = (JobAttemptRow.job_id == job, JobAttemptRow.epoch == 1)
        kept = {"ended": "lost", "branch": "pavo/x--epoch-1", "commit": "c0ffee", "late_work": "kept"}
        await session.execute(update(JobAttemptRow).where(*mine).values(**kept))
        await session.execute(update(JobRow).where(JobRow.id == job).values(stage="DONE"))
    adopted = await service.adopt(given.who, job, 1)
    assert (adopted.stage, adopted.adopts) == ("QUEUED", 1)
    await given.claim(job)
    given.agent.will(c.START_EXECUTION, failure("BranchMissing"))
    with pytest.raises(WorkflowFailureError):
        await (await given.start(job, 2)).result()
    row = await given.row(job)
    assert (row.stage, row.adopts) == ("FAILED", None)
    assert (await service.adopt(given.who, job, 1)).adopts == 1
    assert (await service.requeue(given.who, job)).adopts == 1, "it waits already"
    await given.claim(job)
    assert await (await given.start(job, 3)).result() == "DONE"
    assert c.MAKE_PLAN not in kinds(given.agent.asked), "nobody reviews a plan of what is done"
    assert (await given.row(job)).adopts is None
    assert (await service.rework(given.who, job, "Shorter.")).adopts is None


async def test_the_status_of_a_workflow_links_to_its_page_in_temporals_ui(
    given: Given, at_work: AtWork, settings: Settings, temporal: Client
) -> None:
    job = await given.job()
    handle = await given.start(job)
    redis = build_redis(settings)
    presence = Presence(redis, temporal.namespace, at_work.queue)
    linked = JobCommands(temporal, at_work.queue, presence, "https://temporal.example/ui/")
    found = await linked.status(handle.id)
    page = f"https://temporal.example/ui/namespaces/{temporal.namespace}/workflows"
    assert found.link == f"{page}/job%3A{job}%3A1/{found.run_id}/history"
    assert found.run_id == (await handle.describe()).run_id
    assert (await JobCommands(temporal, at_work.queue, presence).status(handle.id)).link is None
    await redis.aclose()
    assert await handle.result() == "DONE"


@pytest.mark.parametrize("late_work", ["kept", None])
async def test_a_review_that_came_after_the_loss_is_answered_on_the_adopted_work(
    given: Given, service: JobService, late_work: str | None
) -> None:
    job = await lost(given, branch="pavo/x--epoch-1", commit="c0ffee", late_work=late_work)
    told = Command(start_execution=StartExecution(feedback="Shorter."))
    kept = {"job_id": job, "epoch": 1, "id": new_id(), "request": told.SerializeToString()}
    done = Result(published=Published(url="https://forge.example/pulls/9", number=9, commit="abc", branch="pavo/x"))
    both = [
        {**kept, "kind": c.START_EXECUTION, "result": None},
        {**kept, "id": new_id(), "kind": c.CREATE_PULL_REQUEST, "request": b"", "result": done.SerializeToString()},
    ]
    async with given.database.transaction() as session:
        await session.execute(insert(JobCommandRow).values(both if late_work is None else both[:1]))
        await session.execute(update(JobRow).where(JobRow.id == job).values(feedback="Shorter.", kind="rework"))
    await service.rework(given.who, job, "And in English.")
    adopted = await service.adopt(given.who, job, 1)
    assert (adopted.stage, adopted.kind, adopted.feedback) == ("QUEUED", "rework", "And in English.")
    assert adopted.adopts == (1 if late_work else None)
    assert adopted.pull_request_number == (None if late_work else 9)
