"""A task that is done goes on with what is said to it: once, whatever dies between, with all of before kept."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client

from pavo.bootstrap import build_redis
from pavo.config import Settings
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.runs.fence import Fence
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import MessageRow
from pavo.tasks.sql.transitions import follow_up
from pavo.tasks.waits.follow_ups import FollowUps
from pavo.tasks.wiring import task_commands
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.timeline.publish import Publisher
from tests.driving import Tasks, stages, types, until
from tests.parts import Parts
from tests.tasks.following_agents import install
from tests.tasks.own_stack import Own, on_path, own_stack

ONE = ["INIT", "PLANNING", "WAIT_RFC", "EXECUTING", "DONE"]
QUICK = ["INIT", "PLANNING", "EXECUTING", "DONE"]
FIRST = "1.0 1.1 1.2"


@pytest_asyncio.fixture(scope="module")
async def own(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    # Isolated ones wait for files of a test as well.
    environment = {"PYTHONPATH": on_path(folder), "PAVO_AGENT_CONFINEMENT": "off"}
    async with own_stack(parts, "following", environment) as stack:
        yield stack


@pytest_asyncio.fixture
async def follow_ups(own: Own, temporal: Client, database: Database, settings: Settings) -> AsyncIterator[FollowUps]:
    redis = build_redis(settings)
    mine = settings.temporal.model_copy(update={"task_queue": own.environment["TEMPORAL_TASK_QUEUE"]})
    yield FollowUps(database, task_commands(temporal, redis, mine))
    await redis.aclose()


async def say(tasks: Tasks, task_id: str, body: str, expect: int = 201, key: str | None = None) -> dict[str, Any]:
    headers = {"Idempotency-Key": key} if key else {}
    answer = await tasks.client.post(f"/api/tasks/{task_id}/messages", json={"body": body}, headers=headers)
    assert answer.status_code == expect, answer.text
    return answer.json()


async def done(own: Own, agent: str = "following", **options: Any) -> str:
    task_id = await own.tasks.started(options, agent_type=agent, prompt="Tea.", auto_accept=True)
    await own.tasks.wait(task_id, "DONE")
    return task_id


async def done_again(own: Own, task_id: str, times: int = 2) -> list[dict[str, Any]]:
    async def so_often() -> list[dict[str, Any]]:
        found = await own.tasks.events(task_id)
        return found if stages(found).count("DONE") == times else []

    return await until(so_often, what=f"{task_id} to be done {times} times")


async def bodies(own: Own, task_id: str, kind: str) -> list[str]:
    return [each["body"] for each in await own.tasks.documents(task_id) if each["kind"] == kind]


async def keep_only(database: Database, task_id: str, body: str) -> None:
    """What a process leaves that dies between keeping what was said and beginning a run for it."""
    async with database.transaction() as session:
        task = await repository.lock_task(session, uuid.UUID(task_id))
        assert task is not None
        row = MessageRow(id=new_id(), task_id=task.id, author_id=task.created_by, body=body, placed=d.FOLLOW_UP)
        [event] = await follow_up.say(session, task, events.message(row.id, "x@example.com", body, d.FOLLOW_UP))
        row.seq = event.seq
        session.add(row)


@pytest.mark.parametrize("agent", ["following", "following_apart"])
async def test_another_plan_is_reviewed_and_all_of_before_is_kept(own: Own, agent: str) -> None:
    tasks = own.tasks
    task = await tasks.reviewable({}, agent_type=agent, prompt="Tea.")
    task_id = task["id"]
    await tasks.accept(task)
    await tasks.wait(task_id, "DONE")
    before = await tasks.events(task_id)
    last = {"Last-Event-ID": str(before[-1]["seq"])}
    assert (await tasks.client.get(f"/api/tasks/{task_id}/stream", headers=last)).status_code == 204

    said = await say(tasks, task_id, "And cake.")
    assert (said["placed"], said["seq"]) == ("follow_up", before[-1]["seq"] + 1)
    task = await tasks.wait(task_id, "WAIT_RFC")
    assert task["plan"]["version"] == 2 and task["steps"] == 0
    assert f"After v1 ({FIRST}; heard []): And cake." in (await bodies(own, task_id, "PLAN"))[-1]
    await tasks.post(f"{task_id}/documents/{task['plan']['document_id']}/feedback", 201, body="Sweet.")
    await tasks.post(f"{task_id}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def third() -> Any:
        found = await tasks.get(task_id)
        return found["plan"]["version"] == 3 and found["stage"] == "WAIT_RFC" and found

    await tasks.accept(await until(third))
    found = await done_again(own, task_id)
    assert "Revised after v1" in (await bodies(own, task_id, "PLAN"))[-1]
    reports = [f"{FIRST}; heard []", f"{FIRST} 3.0 3.1 3.2; heard ['And cake.']"]
    assert await bodies(own, task_id, "REPORT") == reports
    assert [event["seq"] for event in found] == list(range(1, len(found) + 1)) and found[: len(before)] == before
    assert stages(found) == [*ONE, "PLANNING", "WAIT_RFC", "PLANNING", "WAIT_RFC", "EXECUTING", "DONE"]
    streamed = [event async for _, event in tasks.stream(task_id, after=before[-1]["seq"])]
    assert streamed == found[len(before) :]
    last = {"Last-Event-ID": str(found[-1]["seq"])}
    assert (await tasks.client.get(f"/api/tasks/{task_id}/stream", headers=last)).status_code == 204


@pytest.mark.parametrize("agent", ["following", "following_apart"])
async def test_by_policy_again_and_again(own: Own, agent: str) -> None:
    task_id, found = await done(own, agent), list[dict[str, Any]]()
    for times in (2, 3):
        await say(own.tasks, task_id, f"More {times}.")
        found = await done_again(own, task_id, times)
    assert stages(found) == [*QUICK, *QUICK[1:], *QUICK[1:]]
    plans = await bodies(own, task_id, "PLAN")
    assert "): More 2." in plans[1] and "After v2" in plans[2] and plans[2].count("More 3.") == 1
    assert (await bodies(own, task_id, "REPORT"))[-1].startswith(f"{FIRST} 2.0 2.1 2.2 3.0 3.1 3.2;")
    assert types(found, "accepted") == ["accepted"] * 3


async def test_two_at_once_and_one_key_twice_are_one_generation(own: Own, tmp_path: Path) -> None:
    task_id = await done(own, execute=str(tmp_path / "go"))
    said = await asyncio.gather(*(say(own.tasks, task_id, body) for body in ("This.", "That.")))
    assert {each["placed"] for each in said} <= {"follow_up", "message"}
    (tmp_path / "go").touch()
    found = await done_again(own, task_id)
    assert stages(found) == [*QUICK, *QUICK[1:]]
    report = (await bodies(own, task_id, "REPORT"))[-1]
    assert "This." in report and "That." in report

    await say(own.tasks, task_id, "Once.", key=f"k-{task_id}")
    again = await say(own.tasks, task_id, "Once.", 200, key=f"k-{task_id}")
    assert again["placed"] == "follow_up"
    found = await done_again(own, task_id, 3)
    await say(own.tasks, task_id, "Once.", 200, key=f"k-{task_id}")
    assert await own.tasks.events(task_id) == found


async def test_the_second_line_begins_what_was_only_kept(own: Own, database: Database, follow_ups: FollowUps) -> None:
    task_id = await done(own)
    await keep_only(database, task_id, "Kept.")
    await keep_only(database, task_id, "Kept too.")
    await follow_ups.go_on()
    assert (await own.tasks.get(task_id))["stage"] == "DONE", "somebody may be beginning it just now"
    async with database.transaction() as session:
        old = "UPDATE follow_ups SET created_at = pavo_now() - interval '1 minute' WHERE task_id = :id"
        await session.execute(text(old), {"id": uuid.UUID(task_id)})
    await asyncio.gather(*(follow_ups.go_on() for _ in range(3)), follow_ups.begin(uuid.UUID(task_id)))
    found = await done_again(own, task_id)
    assert stages(found) == [*QUICK, *QUICK[1:]]
    assert "Kept. | Kept too." in (await bodies(own, task_id, "PLAN"))[-1]
    assert await follow_ups.begin(uuid.UUID(task_id)) and await own.tasks.events(task_id) == found


async def test_an_older_run_takes_nothing_and_the_next_takes_it_once(
    own: Own, database: Database, settings: Settings
) -> None:
    task_id = await done(own)
    await keep_only(database, task_id, "Now.")
    async with database.reading() as session:
        task = await repository.row_or_tombstone(session, uuid.UUID(task_id))
    assert task is not None
    redis = build_redis(settings)
    recorder = TransitionRecorder(database, Publisher(redis))
    before = await own.tasks.events(task_id)
    for number in (1, task.transition, task.transition + 5):
        late = c.BeginRun(task_id, Fence("older", task.generation, number))
        assert (await recorder.begin_run(late)).phase == d.PHASE_OVER
    assert await own.tasks.events(task_id) == before and (await own.tasks.get(task_id))["stage"] == "DONE"

    taking = c.BeginRun(task_id, Fence("newer", task.generation + 1, 1))
    for _ in range(2):
        assert await recorder.begin_run(taking) == c.Standing(d.PHASE_PLANNING, None, 0)
    assert stages(await own.tasks.events(task_id)) == [*QUICK, "PLANNING"]
    late = c.BeginRun(task_id, Fence("older", task.generation, 9))
    assert (await recorder.begin_run(late)).phase == d.PHASE_OVER
    # Its workflow is lost with the process that this test was.
    await own.tasks.post(f"{task_id}/stop")
    await own.tasks.post(f"{task_id}/resume")
    assert stages(await done_again(own, task_id)) == [*QUICK, "PLANNING", "STOPPED", *QUICK[1:]]
    await redis.aclose()


async def test_stopped_at_once_nothing_begins(
    own: Own, database: Database, settings: Settings, follow_ups: FollowUps, tmp_path: Path
) -> None:
    task_id = await done(own, plan=str(tmp_path / "go"))
    await keep_only(database, task_id, "Wait.")
    async with database.reading() as session:
        task = await repository.row_or_tombstone(session, uuid.UUID(task_id))
    assert task is not None
    receipt = await own.tasks.post(f"{task_id}/stop")
    assert receipt == await own.tasks.post(f"{task_id}/stop") and "makes the plan" in receipt["resume"]
    assert (await own.tasks.get(task_id))["stage"] == "STOPPED"
    redis = build_redis(settings)
    on_its_way = c.BeginRun(task_id, Fence("late", task.generation + 1, 1))
    assert (await TransitionRecorder(database, Publisher(redis)).begin_run(on_its_way)).phase == d.PHASE_OVER
    await redis.aclose()
    assert await follow_ups.begin(uuid.UUID(task_id)) and (await own.tasks.get(task_id))["stage"] == "STOPPED"
    await say(own.tasks, task_id, "And this.")
    (tmp_path / "go").touch()
    await own.tasks.post(f"{task_id}/resume")
    await done_again(own, task_id)
    assert "Wait. | And this." in (await bodies(own, task_id, "PLAN"))[-1]


async def test_deleted_with_what_was_said(own: Own, database: Database, follow_ups: FollowUps) -> None:
    task_id = await done(own)
    await keep_only(database, task_id, "Never.")
    assert (await own.tasks.client.delete(f"/api/tasks/{task_id}")).status_code == 204
    assert await follow_ups.begin(uuid.UUID(task_id))
    refused = await say(own.tasks, task_id, "Hello?", 404)
    assert refused["remedy"]


async def test_what_is_said_to_one_that_is_done_is_what_remedies_name(own: Own) -> None:
    task_id = await done(own)
    for command in ("start", "resume"):
        refused = await own.tasks.post(f"{task_id}/{command}", 409)
        assert "pavo task message" in refused["remedy"]


async def test_webhooks_are_told_of_each_generation(own: Own, database: Database) -> None:
    task = await own.tasks.reviewable({}, agent_type="following", prompt="Tea.")
    task_id, theirs = task["id"], {"task": uuid.UUID(task["id"]), "hook": new_id()}
    hook = """INSERT INTO webhooks (id, organisation_id, url, events, rests_until)
        SELECT :hook, organisation_id, 'https://example.com', '{task.stage_changed,task.waiting}', 'infinity'
        FROM tasks WHERE id = :task"""
    told = """SELECT type || ' ' || (data->>'stage') FROM webhook_deliveries
        WHERE webhook_id = :hook AND task_id = :task ORDER BY number"""
    async with database.transaction() as session:
        await session.execute(text(hook), theirs)
    await own.tasks.accept(task)
    await own.tasks.wait(task_id, "DONE")
    await say(own.tasks, task_id, "More.")
    await own.tasks.accept(await own.tasks.wait(task_id, "WAIT_RFC"))
    await done_again(own, task_id)
    async with database.transaction() as session:
        found = (await session.scalars(text(told), theirs)).all()
        await session.execute(text("DELETE FROM webhooks WHERE id = :hook"), {"hook": theirs["hook"]})
    changed = [each.removeprefix("task.stage_changed ") for each in found if not each.startswith("task.waiting")]
    assert changed == ["EXECUTING", "DONE", "PLANNING", "WAIT_RFC", "EXECUTING", "DONE"]
    assert [each for each in found if each.startswith("task.waiting")] == ["task.waiting WAIT_RFC"]


@pytest.mark.fault
@pytest.mark.parametrize("where", ["plan", "execute"])
@pytest.mark.parametrize("agent", ["following", "following_apart"])
async def test_killed_in_a_follow_up(own: Own, agent: str, where: str, tmp_path: Path) -> None:
    task_id = await done(own, agent, **{where: str(tmp_path / "go")})
    await say(own.tasks, task_id, "Again.")
    await own.tasks.wait(task_id, {"plan": "PLANNING", "execute": "EXECUTING"}[where])
    own.worker.kill()
    own.worker = await own.parts.start("worker", **own.environment)
    (tmp_path / "go").touch()
    found = await done_again(own, task_id)
    assert stages(found) == [*QUICK, *QUICK[1:]] and types(found, "plan") == ["plan"] * 2
    assert (await bodies(own, task_id, "REPORT"))[-1] == f"{FIRST} 2.0 2.1 2.2; heard ['Again.']"


@pytest.mark.fault
async def test_without_a_worker_it_is_kept_and_begun_once_there_is_one(own: Own, temporal: Client) -> None:
    task_id = await done(own)
    run = temporal.get_workflow_handle((await own.tasks.get(task_id))["workflow_id"])
    await run.result()  # else the run before has to end first, and the second line begins the next
    own.worker.kill()
    said = await asyncio.gather(*(say(own.tasks, task_id, body) for body in ("One.", "Two.")))
    assert {each["placed"] for each in said} == {"follow_up"}
    own.worker = await own.parts.start("worker", **own.environment)
    assert stages(await done_again(own, task_id)) == [*QUICK, *QUICK[1:]]
    plan = (await bodies(own, task_id, "PLAN"))[-1]
    assert "One." in plan and "Two." in plan
