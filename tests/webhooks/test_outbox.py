"""The outbox against a real database: filled with what it tells of, claimed once, recorded by the newest attempt."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.config import parse_networks
from pavo.gates import repository as gates
from pavo.gates.domain import Gate
from pavo.jobs import events
from pavo.jobs.attempt import plans
from pavo.jobs.removal import repository as removal
from pavo.jobs.sql import attempts
from pavo.kit.sql import Database
from pavo.timeline import service as timeline
from pavo.webhooks import outbox
from pavo.webhooks.deliverer import Deliverer
from pavo.webhooks.domain import Claimed, EventType, Outcome
from pavo.webhooks.sender import Sender
from pavo.webhooks.service import WebhookService
from tests.driving import until
from tests.webhooks.conftest import Organisation
from tests.webhooks.receiver import Receiver, hang, receiving, verifies

TAKEN = Outcome(0.1, 200)
REFUSED = Outcome(0.1, 500, "It answered 500.")


@pytest_asyncio.fixture(autouse=True)
async def alone(database: Database) -> None:
    """What other tests have left is none of this one's business."""
    await run(database, "DELETE FROM webhook_deliveries")


async def run(database: Database, statement: str, **values: Any) -> Any:
    async with database.transaction() as session:
        return await session.execute(text(statement), values)


async def enqueue(database: Database, organisation: Organisation, count: int = 1) -> None:
    statement = "SELECT webhook_enqueue(:id, 'task.waiting', :task, '{}') FROM generate_series(1, :count)"
    await run(database, statement, id=organisation.id, task=uuid.uuid4(), count=count)


async def claim(database: Database, *, healthy: bool = True, slots: int = 100, seconds: float = 60) -> list[Claimed]:
    async with database.transaction() as session:
        return await outbox.claim(session, healthy=healthy, slots=slots, seconds=seconds)


async def record(database: Database, message: Claimed, outcome: Outcome) -> str | None:
    async with database.transaction() as session:
        return await outbox.record(session, message, outcome)


async def rows(database: Database, webhook_id: uuid.UUID) -> list[Any]:
    async with database.reading() as session:
        found = text("SELECT * FROM webhook_deliveries WHERE webhook_id = :id ORDER BY number")
        return list((await session.execute(found, {"id": webhook_id})).all())


async def new_task(database: Database, organisation: Organisation) -> uuid.UUID:
    task_id = uuid.uuid4()
    statement = """INSERT INTO tasks (id, organisation_id, created_by, title, prompt, agent_type, agent_options, stage,
        phase, workflow_id) VALUES (:id, :organisation, :user, 'Secret title', 'Secret prompt', 'intern', '{}', 'INIT',
        'planning', :workflow)"""
    values = {"organisation": organisation.id, "user": organisation.owner, "workflow": str(task_id)}
    await run(database, statement, id=task_id, **values)
    return task_id


MOVE = "UPDATE tasks SET stage = :stage WHERE id = :id"


async def test_the_outbox_is_written_with_the_change_or_not_at_all(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    webhook = (await webhooks.add(organisation.id, "https://example.com/hook")).webhook
    task_id = await new_task(database, organisation)
    with pytest.raises(RuntimeError):
        async with database.transaction() as session:
            await session.execute(text(MOVE), {"id": task_id, "stage": "PLANNING"})
            raise RuntimeError("rolled back")
    assert await rows(database, webhook.id) == []
    for stage in ("PLANNING", "PLANNING", "WAIT_RFC"):
        await run(database, MOVE, id=task_id, stage=stage)
    await run(database, "UPDATE tasks SET title = '', deleted_at = now() WHERE id = :id", id=task_id)
    await run(database, "UPDATE tasks SET deleted_at = deleted_at WHERE id = :id", id=task_id)
    found = await rows(database, webhook.id)
    assert [row.type for row in found] == [
        "task.stage_changed",
        "task.stage_changed",
        "task.waiting",
        "task.deleted",
    ]
    assert found[1].data == {
        "organisation_id": str(organisation.id),
        "task_id": str(task_id),
        "agent_type": "intern",
        "created_by": str(organisation.owner),
        "stage": "WAIT_RFC",
        "previous_stage": "PLANNING",
    }
    assert "Secret" not in str(found), "what people wrote stays inside"
    assert [row.number for row in found] == sorted({row.number for row in found})


async def test_only_what_is_wanted_and_only_to_the_organisations_own(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    waiting = await webhooks.add(organisation.id, "https://example.com/1", events=[EventType.WAITING])
    everything = await webhooks.add(organisation.id, "https://example.com/2")
    off = await webhooks.add(organisation.id, "https://example.com/3")
    await webhooks.change(organisation.id, off.webhook.id, enabled=False)
    task_id = await new_task(database, organisation)
    await run(database, MOVE, id=task_id, stage="WAIT_RFC")
    counts = [len(await rows(database, each.webhook.id)) for each in (waiting, everything, off)]
    assert counts == [1, 2, 0]
    count = "SELECT count(*) FROM webhook_deliveries WHERE task_id = :id"
    assert (await run(database, count, id=task_id)).scalar_one() == 3


async def test_each_message_is_claimed_once_however_many_claim(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    webhook = (await webhooks.add(organisation.id, "https://example.com/hook")).webhook
    await enqueue(database, organisation, 20)
    found = [message for claims in await asyncio.gather(*(claim(database) for _ in range(4))) for message in claims]
    assert len(found) == len({message.id for message in found}) == outbox.AT_ONCE_HEALTHY
    assert await claim(database) == [], "so many are under way to this receiver, whoever sends them"
    await record(database, found[0], TAKEN)
    (another,) = await claim(database)
    assert another.webhook_id == webhook.id and another.id not in {message.id for message in found}


async def test_what_a_dead_deliverer_had_claimed_is_claimed_again_under_the_same_id(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    await webhooks.add(organisation.id, "https://example.com/hook")
    await enqueue(database, organisation)
    (dead,) = await claim(database)
    assert await claim(database) == []
    await run(database, "UPDATE webhook_deliveries SET due_at = now() WHERE id = :id", id=dead.id)
    (alive,) = await claim(database)
    assert (alive.id, alive.body, alive.attempt) == (dead.id, dead.body, 2)
    # The dead one was frozen only. Its failure is old news; that it was delivered is true whoever says it.
    await record(database, dead, REFUSED)
    (row,) = await rows(database, dead.webhook_id)
    assert (row.state, row.error, row.claimed) == ("pending", None, True)
    await record(database, dead, TAKEN)
    await record(database, alive, REFUSED)
    (row,) = await rows(database, dead.webhook_id)
    assert (row.state, row.error, row.status) == ("delivered", None, 200)


async def test_a_receiver_that_fails_rests_and_then_gets_one_at_a_time(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    webhook = (await webhooks.add(organisation.id, "https://example.com/hook")).webhook
    await enqueue(database, organisation, 10)
    for message in await claim(database):
        await record(database, message, REFUSED)
    assert await claim(database) == [] == await claim(database, healthy=False)
    shown = await webhooks.get(organisation.id, webhook.id)
    assert (shown.failures, shown.waiting) == (outbox.AT_ONCE_HEALTHY, 10) and shown.failing_since is not None
    await run(database, "UPDATE webhooks SET rests_until = now() WHERE id = :id", id=webhook.id)
    assert await claim(database) == []
    (only,) = await claim(database, healthy=False)
    await record(database, only, TAKEN)
    assert len(await claim(database)) == outbox.AT_ONCE_HEALTHY
    assert (await webhooks.get(organisation.id, webhook.id)).failures == 0


async def test_what_cannot_be_delivered_for_days_is_given_up_and_can_be_sent_again(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    webhook = (await webhooks.add(organisation.id, "https://example.com/hook")).webhook
    await enqueue(database, organisation)
    (message,) = await claim(database)
    await record(database, message, REFUSED)
    again = "UPDATE webhook_deliveries SET due_at = now(), created_at = now() - interval '80 hours' WHERE id = :id"
    await run(database, again, id=message.id)
    await run(database, "UPDATE webhooks SET rests_until = NULL")
    (message,) = await claim(database, healthy=False)
    await record(database, message, REFUSED)
    (given_up,) = (await webhooks.deliveries(organisation.id, webhook.id, state="given_up")).items
    assert given_up.id == message.id and given_up.error == "It answered 500." and given_up.attempts == 2
    assert await claim(database, healthy=False) == []
    assert (await webhooks.resend(organisation.id, webhook.id, message.id)).state == "pending"
    await run(database, "UPDATE webhooks SET rests_until = NULL")
    (message,) = await claim(database, healthy=False)
    await record(database, message, TAKEN)
    (row,) = await rows(database, webhook.id)
    assert row.state == "delivered"


@pytest.mark.parametrize("why", ["long", "gone"])
async def test_who_fails_for_too_long_is_disabled_and_others_are_told(
    database: Database, webhooks: WebhookService, organisation: Organisation, why: str
) -> None:
    broken = (await webhooks.add(organisation.id, "https://example.com/broken")).webhook
    await enqueue(database, organisation)
    well = (await webhooks.add(organisation.id, "https://example.com/well")).webhook
    if why == "long":
        statement = "UPDATE webhooks SET failures = 9, failing_since = now() - interval '73 hours' WHERE id = :id"
        await run(database, statement, id=broken.id)
    (message,) = await claim(database, healthy=why == "gone")
    reason = await record(database, message, REFUSED if why == "long" else Outcome(0.1, 410, "It answered 410."))
    assert reason is not None and ("3 days" in reason or "410" in reason)
    shown = await webhooks.get(organisation.id, broken.id)
    assert (shown.enabled, shown.disabled_reason, shown.waiting) == (False, reason, 1) and shown.disabled_at
    (told,) = await rows(database, well.id)
    assert told.type == EventType.DISABLED and told.data["webhook_id"] == str(broken.id)
    assert told.data["reason"] == reason
    await record(database, message, REFUSED)
    assert len(await rows(database, well.id)) == 1, "told once"
    # What waits is kept: enabled again, it is due at once.
    assert all(message.webhook_id == well.id for message in await claim(database))
    enabled = await webhooks.change(organisation.id, broken.id, enabled=True)
    assert (enabled.failures, enabled.disabled_at, enabled.disabled_reason) == (0, None, None)
    assert [each.webhook_id for each in await claim(database)] == [broken.id]


async def test_what_is_old_and_what_has_no_webhook_is_pruned(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    removed = (await webhooks.add(organisation.id, "https://example.com/1")).webhook
    kept = (await webhooks.add(organisation.id, "https://example.com/2")).webhook
    await enqueue(database, organisation, 2)
    await webhooks.remove(organisation.id, removed.id)
    (old, young) = await rows(database, kept.id)
    past = "UPDATE webhook_deliveries SET created_at = now() - interval '31 days' WHERE id = :id"
    await run(database, past, id=old.id)
    async with database.transaction() as session:
        await outbox.prune(session)
    assert await rows(database, removed.id) == []
    assert [row.id for row in await rows(database, kept.id)] == [young.id]


@pytest_asyncio.fixture
async def deliverer(database: Database) -> AsyncIterator[Deliverer]:
    found = Deliverer(database, Sender(parse_networks("127.0.0.0/8"), 2.0), 2.0)
    yield found
    await found.close()


async def test_a_receiver_that_hangs_keeps_no_other_from_its_messages(
    database: Database,
    webhooks: WebhookService,
    organisation: Organisation,
    receiver: Receiver,
    deliverer: Deliverer,
) -> None:
    await webhooks.add(organisation.id, receiver.url)
    async with contextlib.AsyncExitStack() as stack:
        hanging = [await stack.enter_async_context(receiving(hang)) for _ in range(9)]
        for each in hanging:
            await webhooks.add(organisation.id, each.url)
        await enqueue(database, organisation, 30)
        deliverer.start()

        async def delivered() -> bool:
            return len(receiver.got) == 30

        await until(delivered, seconds=20, what="all 30 messages at the receiver that answers")
        assert receiver.most_at_once <= outbox.AT_ONCE_HEALTHY
        assert max(each.most_at_once for each in hanging) <= outbox.AT_ONCE_HEALTHY


async def test_while_secrets_overlap_each_of_them_verifies(
    database: Database,
    webhooks: WebhookService,
    organisation: Organisation,
    receiver: Receiver,
    deliverer: Deliverer,
) -> None:
    added = await webhooks.add(organisation.id, receiver.url)
    rotated = await webhooks.rotate(organisation.id, added.webhook.id)
    assert rotated.webhook.secrets == 2 and rotated.secret != added.secret
    await enqueue(database, organisation)
    deliverer.start()

    async def arrived(count: int) -> bool:
        return len(receiver.got) == count

    await until(lambda: arrived(1), what="the message")
    assert verifies(added.secret, receiver.got[0]) and verifies(rotated.secret, receiver.got[0])
    assert not verifies("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", receiver.got[0])
    await run(database, "UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
    await enqueue(database, organisation)
    await until(lambda: arrived(2), what="the second message")
    assert verifies(rotated.secret, receiver.got[1]) and not verifies(added.secret, receiver.got[1])


async def new_job(database: Database, organisation: Organisation) -> uuid.UUID:
    """A job in its queue."""
    job_id, repository_id = uuid.uuid4(), uuid.uuid4()
    place = "INSERT INTO repositories (id, organisation_id, name, clone_url) VALUES (:id, :of, :name, 'http://x/r.git')"
    await run(database, place, id=repository_id, of=organisation.id, name=str(repository_id))
    statement = """INSERT INTO jobs (id, organisation_id, repository_id, created_by, title, prompt, base_branch, rank,
        program, branch) VALUES (:id, :organisation, :repository, :user, 'Secret title', 'Secret prompt', 'main', 0,
        'codex', :branch)"""
    values = {"organisation": organisation.id, "repository": repository_id, "user": organisation.owner}
    async with database.transaction() as session:
        await session.execute(text(statement), {"id": job_id, "branch": f"pavo/{job_id}", **values})
        await timeline.create(session, job_id, events.queued("backlog", 50))
    return job_id


MOVE_JOB = "UPDATE jobs SET stage = :stage, epoch = 1 WHERE id = :id"


async def test_a_jobs_stages_its_end_and_its_removal_are_told(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    everything = (await webhooks.add(organisation.id, "https://example.com/all")).webhook
    ends = [EventType.JOB_DONE, EventType.JOB_FAILED, EventType.JOB_CANCELLED]
    ended = (await webhooks.add(organisation.id, "https://example.com/ends", events=ends)).webhook
    job = await new_job(database, organisation)
    for stage in ("CLAIMED", "CLAIMED", "CLEANING", "FAILED", "QUEUED", "CANCELLED", "QUEUED", "CLEANING", "DONE"):
        await run(database, MOVE_JOB, id=job, stage=stage)
    await run(database, "UPDATE jobs SET rank = 7, updated_at = pavo_now() WHERE id = :id", id=job)
    async with database.transaction() as session:
        await removal.bury(session, job)
    found = await rows(database, everything.id)
    queued = ["job.stage_changed", "job.queued"]
    assert [row.type for row in found] == [
        *queued,
        "job.stage_changed",
        "job.stage_changed",
        *("job.stage_changed", "job.failed"),
        *queued,
        *("job.stage_changed", "job.cancelled"),
        *queued,
        "job.stage_changed",
        *("job.stage_changed", "job.done"),
        "job.deleted",
    ]
    first, claimed = found[0].data, found[2].data
    assert (first["stage"], first["previous_stage"]) == ("QUEUED", None)
    assert (claimed["stage"], claimed["previous_stage"], claimed["epoch"]) == ("CLAIMED", "QUEUED", 1)
    assert (claimed["job_id"], claimed["organisation_id"]) == (str(job), str(organisation.id))
    assert (claimed["program"], claimed["created_by"]) == ("codex", str(organisation.owner))
    assert "Secret" not in str(found), "what people wrote stays inside"
    assert [row.number for row in found] == sorted({row.number for row in found})
    assert [row.type for row in await rows(database, ended.id)] == ["job.failed", "job.cancelled", "job.done"]
    await run(database, "UPDATE webhook_deliveries SET state = 'delivered' WHERE type <> 'job.deleted'")
    async with database.transaction() as session:
        assert await removal.empty_some(session, job, unwatched=True) is True
    assert [row.type for row in await rows(database, everything.id)] == ["job.deleted"], "it is still to be told"


async def test_a_job_that_asks_is_told_each_time_that_it_asks(
    database: Database, webhooks: WebhookService, organisation: Organisation
) -> None:
    webhook = (await webhooks.add(organisation.id, "https://example.com/hook", events=[EventType.JOB_WAITING])).webhook
    job_id = await new_job(database, organisation)

    async def ask(plan: str) -> Gate:
        async with database.transaction() as session:
            job = await attempts.locked(session, job_id)
            assert job is not None
            return await plans.open_review(session, job, plan)

    gate = await ask("Secret plan")
    assert (await ask("Secret plan")).id == gate.id
    (told,) = await rows(database, webhook.id)
    assert (told.type, told.task_id, told.data["reason"]) == ("job.waiting", job_id, "plan")
    assert (told.data["gate_id"], told.data["stage"]) == (str(gate.id), "QUEUED")
    assert "Secret" not in str(told)
    async with database.transaction() as session:
        await gates.pause(session, job_id)
    assert (await ask("Secret plan")).id == gate.id, "the next attempt asks again"
    assert len(await rows(database, webhook.id)) == 2
