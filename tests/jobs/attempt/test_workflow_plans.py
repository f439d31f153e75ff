"""The review of a plan: a gate over its hash; comments ask the agent again."""

import hashlib

from sqlalchemy import select

from pavo.gates.models import GateRow
from pavo.gates.service import GateService
from pavo.jobs import contracts as c
from pavo.jobs.attempt import plans
from pavo.jobs.attempt.job_gates import JobGates
from pavo.jobs.sql import attempts
from pavo.jobs.wiring import KIND
from pavo.jobs.workflow import CodingJob
from pavo.runs.kinds import subjects_of
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import kinds, planned, session_lost

SUBJECTS = subjects_of([KIND])


async def test_a_plan_is_reviewed_revised_accepted_and_carried_out(given: Given, gates: JobGates) -> None:
    job, service = await given.job(review=True), GateService(given.database, gates, SUBJECTS)
    given.agent.will(c.MAKE_PLAN, planned("1. This."), planned("1. That."))
    handle = await given.start(job)
    first = await given.open_gate(job, "1. This.")
    assert first.hash == hashlib.sha256(b"1. This.").hexdigest()
    assert c.START_EXECUTION not in kinds(given.agent.asked)
    answered = await service.answer(given.who, first.id, first.hash, "revise", "Do that instead.")
    assert (answered.state, answered.answer) == ("answered", "revise")
    second = await given.open_gate(job, "1. That.")
    async with given.database.transaction() as session:
        row = await attempts.locked(session, job)
        assert row is not None and await plans.comments(session, row) == "Do that instead."
        assert await plans.accepted_plan(session, row) is None
    await service.answer(given.who, second.id, second.hash, "accept", "")
    assert await handle.result() == "DONE"
    wanted = [c.MAKE_PLAN, c.MAKE_PLAN, c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST, c.CLEANUP]
    assert kinds(given.agent.asked) == wanted
    async with given.database.transaction() as session:
        row = await attempts.locked(session, job)
        plan = row and await plans.accepted_plan(session, row)
        assert plan is not None and plan.text == "1. That."
    told = [(each.type, each.data.get("version"), each.data.get("accepted")) for each in await given.events(job)]
    asked = [each for each in told if each[0] in ("plan", "plan_answered")]
    assert asked == [
        ("plan", 1, None),
        ("plan_answered", None, False),
        ("plan", 2, None),
        ("plan_answered", None, True),
    ]


async def test_the_next_attempt_does_not_ask_again_what_was_accepted(given: Given, gates: JobGates) -> None:
    job, service = await given.job(review=True), GateService(given.database, gates, SUBJECTS)
    handle = await given.start(job)
    gate = await given.open_gate(job, "1. Do it.")
    await given.temporal.get_workflow_handle(handle.id).signal(CodingJob.move_on)  # a wait survives it
    await given.lease(job, -1)
    await given.temporal.get_workflow_handle(handle.id).signal(CodingJob.lease_lost)
    await given.until_stage(job, "QUEUED")
    assert await given.claim(job) == 2
    second = await given.start(job, 2)
    gate = await given.open_gate(job, "1. Do it.")
    await service.answer(given.who, gate.id, gate.hash, "accept", "")
    given.agent.will(c.START_EXECUTION, session_lost)
    assert await second.result() == "DONE"
    await given.claim(job)
    third = await given.start(job, 3)
    assert await third.result() == "DONE"
    assert [each.epoch for each in given.agent.asked if each.kind == c.MAKE_PLAN] == [1, 2]


async def test_what_is_lost_while_people_think_does_not_count(given: Given, gates: JobGates) -> None:
    """More often than a job is tried; then the plan is accepted, and carried out."""
    job, service = await given.job(review=True, max_attempts=1), GateService(given.database, gates, SUBJECTS)
    for epoch in (1, 2, 3):
        handle = await given.start(job, epoch)
        await given.open_gate(job, "1. Do it.")
        await given.lease(job, -1)
        await handle.signal(CodingJob.lease_lost)
        assert await handle.result() == "QUEUED"
        assert (await given.row(job)).attempts == 0 and (await given.attempt(job, epoch)).ended == "lost"
        assert await given.claim(job) == epoch + 1
    last = await given.start(job, 4)
    gate = await given.open_gate(job, "1. Do it.")
    await service.answer(given.who, gate.id, gate.hash, "accept", "")
    assert await last.result() == "DONE"


async def test_a_review_that_is_cancelled_takes_no_answer(given: Given) -> None:
    job = await given.job(review=True)
    handle = await given.start(job)
    gate = await given.open_gate(job, "1. Do it.")
    await handle.signal(CodingJob.cancel)
    assert await handle.result() == "CANCELLED"
    async with given.database.reading() as session:
        state = (await session.scalars(select(GateRow.state).where(GateRow.id == gate.id))).one()
    assert state == "paused"
