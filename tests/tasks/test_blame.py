"""What counts against an agent, and what does not: workers that are killed or frozen never do."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.kit.sql import Database
from tests.driving import Tasks, ticks, types, until
from tests.memory_groups import memory_group
from tests.parts import Part, Parts, free_port
from tests.tasks.blamed_agents import install

AGENTS = ["blamed", "blamed-apart"]


@dataclass
class Own:
    """An API that knows the blamed agents, and workers that come and go."""

    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    workers: list[Part] = field(default_factory=list[Part])

    async def worker(self) -> Part:
        """One more worker."""
        self.workers.append(await self.parts.start("worker", **self.environment))
        return self.workers[-1]

    def end_workers(self) -> None:
        for worker in self.workers:
            with suppress(ProcessLookupError):
                worker.kill(signal.SIGCONT)
            worker.end()
        self.workers.clear()


@pytest_asyncio.fixture(scope="module")
async def api(parts: Parts, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Own]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    queue, port = f"blame-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    served = await parts.start("api", **environment)
    headers = {"X-User-Email": "blame@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
        yield Own(Tasks(client), parts, environment)
    served.end()


@pytest_asyncio.fixture
async def own(api: Own) -> AsyncIterator[Own]:
    yield api
    api.end_workers()


async def held(own: Own, agent: str, where: str, hold: Path) -> str:
    """A task whose agent waits for the file to go."""
    hold.touch()
    options = {"where": where, "hold": str(hold)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)
    if where == "execute":
        await until(lambda: recorded(own, path, 1), what="the first step")
    else:
        await own.tasks.wait(path, "PLANNING")
    return path


async def recorded(own: Own, path: str, steps: int) -> bool:
    return (await own.tasks.get(path))["steps"] >= steps


async def recoveries(own: Own, path: str) -> int:
    return types(await own.tasks.events(path)).count("recovered")


async def deaths(database: Database, path: str) -> int:
    async with database.autocommit() as connection:
        query = text("SELECT deaths FROM executions WHERE task_id = :id")
        return (await connection.execute(query, {"id": path})).scalar_one()


@pytest.mark.fault
@pytest.mark.parametrize("agent", AGENTS)
async def test_killed_and_frozen_workers_never_count(own: Own, database: Database, agent: str, tmp_path: Path) -> None:
    """Four lost workers in one step: it went FAILED "quarantined" at the third."""
    hold = tmp_path / "hold"
    worker = await own.worker()
    path = await held(own, agent, "execute", hold)
    for round_, number in enumerate((signal.SIGKILL, signal.SIGSTOP, signal.SIGKILL, signal.SIGKILL), 1):
        successor = await own.worker()
        worker.kill(number)

        async def recovered(times: int = round_) -> bool:
            return await recoveries(own, path) >= times

        await until(recovered, what="another attempt")
        worker = successor
    assert await deaths(database, path) == 0
    hold.unlink()
    await own.tasks.wait(path, "DONE")
    events = await own.tasks.events(path)
    assert ticks(events) == [1, 2, 3]
    assert not {"retry", "failed"} & set(types(events))


async def test_a_queued_task_says_so(own: Own) -> None:
    path = await own.tasks.create({}, agent_type="blamed")
    assert (await own.tasks.get(path))["stage_status"] == "PENDING"
    await own.tasks.post(f"{path}/start")
    task = await own.tasks.get(path)
    assert (task["stage"], task["stage_status"]) == ("INIT", "QUEUED")
    await own.tasks.post(f"{path}/stop", 202)
    assert (await own.tasks.get(path))["stage"] == "INIT"
    await own.worker()
    await own.tasks.wait(path, "STOPPED")
    receipt = await own.tasks.post(f"{path}/stop")
    assert receipt == {
        "stage": "INIT",
        "last_step": 0,
        "step_cut": False,
        "resume": "No worker had begun it. Resuming makes the plan.",
    }
    await own.tasks.post(f"{path}/resume")
    await own.tasks.wait(path, "WAIT_RFC")


@pytest.mark.parametrize("agent", AGENTS)
async def test_options_of_before_get_new_defaults(own: Own, database: Database, agent: str) -> None:
    path = await own.tasks.create({}, agent_type=agent, auto_accept=True)
    async with database.autocommit() as connection:
        before = text("""UPDATE tasks SET agent_options = '{"hold": "", "newer": {}}' WHERE id = :id""")
        await connection.execute(before, {"id": path})
    await own.tasks.post(f"{path}/start")
    await own.worker()
    await own.tasks.wait(path, "DONE")
    [report] = [document for document in await own.tasks.documents(path) if document["kind"] == "REPORT"]
    given = '{"group": "", "harm": "", "hold": "", "newer": {"shade": "green"}, "seconds": 0, "where": ""}'
    assert report["body"] == given


@pytest.mark.parametrize("character", ["\U0001f99a", "\x01"])
async def test_as_much_feedback_as_is_accepted_is_revised(own: Own, database: Database, character: str) -> None:
    """500 comments of 20,000 characters; the 501st is refused, and nobody loads the others to see that."""
    await own.worker()
    task = await own.tasks.reviewable({}, agent_type="blamed-apart")
    path, document = task["id"], task["plan"]["document_id"]
    comment = f"{path}/documents/{document}/feedback"
    first = await own.tasks.post(comment, 201, body=character * 20_000)
    async with database.autocommit() as connection:
        copies = text(
            "INSERT INTO feedback (id, task_id, document_id, author_id, body)"
            " SELECT gen_random_uuid(), task_id, document_id, author_id, body FROM feedback, generate_series(1, 499)"
            " WHERE id = :id"
        )
        await connection.execute(copies, {"id": first["id"]})
    refused: dict[str, Any] = await own.tasks.post(comment, 422, body="One more.")
    assert "500 feedback items" in refused["detail"] and refused["field"] == "body"
    await own.tasks.post(f"{path}/plan/done-reviewing", hash=task["plan"]["hash"])

    async def revised() -> bool:
        task = await own.tasks.get(path)
        assert task["stage"] != "FAILED", task["error"]
        return task["plan"]["version"] == 2

    await until(revised, what="the second version")
    async with database.autocommit() as connection:
        query = text("SELECT body FROM documents WHERE task_id = :id AND version = 2")
        body = (await connection.execute(query, {"id": path})).scalar_one()
    assert "I read 10000000 characters." in body
    await own.tasks.client.delete(f"/api/tasks/{path}")


async def test_a_worker_without_the_agent_hands_the_task_back(own: Own) -> None:
    """It went FAILED at once; now a worker that has the agent wakes it."""
    lacking = {**own.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    own.workers.append(await own.parts.start("worker", **lacking))
    path = await own.tasks.started({}, agent_type="blamed", auto_accept=True)

    async def told() -> bool:
        return (await own.tasks.get(path))["stage_status"] == "WAITING:a worker with agent 'blamed'"

    await until(told, what="what it waits for")

    async def has_waited() -> bool:
        log = own.workers[0].log.read_text()
        return log.count("is handed back") >= 5

    await until(has_waited, what="a few attempts")
    events = await own.tasks.events(path)
    assert types(events) == ["stage", "waiting"] and events[-1]["for"] == "a worker with agent 'blamed'"
    assert (await own.tasks.get(path))["stage"] == "INIT"
    begun = time.monotonic()
    await own.worker()
    await own.tasks.wait(path, "DONE")

    async def has_woken() -> bool:
        return "Woke 1 attempts" in own.workers[-1].log.read_text()

    await until(has_woken, what="the line of the log")  # it may be written behind the task's end
    assert time.monotonic() - begun < 30
    assert not {"retry", "failed"} & set(types(await own.tasks.events(path)))


async def test_a_task_that_waits_for_its_agent_is_stopped(own: Own) -> None:
    lacking = {**own.environment, "PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    own.workers.append(await own.parts.start("worker", **lacking))
    path = await own.tasks.started({}, agent_type="blamed-apart", auto_accept=True)

    async def told() -> bool:
        return "waiting" in types(await own.tasks.events(path))

    await until(told, what="what it waits for")
    receipt = await own.tasks.post(f"{path}/stop")
    assert (receipt["stage"], receipt["step_cut"]) == ("INIT", False)
    task = await own.tasks.get(path)
    assert (task["stage"], task["stage_status"]) == ("STOPPED", "PAUSED")
    own.end_workers()
    await own.worker()
    await own.tasks.post(f"{path}/resume")
    await own.tasks.wait(path, "DONE")


@pytest.mark.parametrize("agent", AGENTS)
async def test_a_step_may_have_a_time_limit(own: Own, agent: str, tmp_path: Path) -> None:
    await own.worker()
    hold = tmp_path / "hold"
    path = await held(own, f"{agent}-hurried", "execute", hold)

    async def told() -> bool:
        return "retry" in types(await own.tasks.events(path))

    await until(told, what="the failure")
    retry = next(event for event in await own.tasks.events(path) if event["type"] == "retry")
    assert "took longer than 1.5 s" in retry["error"]

    async def stack() -> bool:
        return "in _harm" in (await own.tasks.client.get(f"/api/tasks/{path}/logs")).text

    await until(stack, what="where it hung, in the task's log")
    hold.unlink()
    await own.tasks.wait(path, "DONE")
    assert ticks(await own.tasks.events(path)) == [1, 2, 3]


@pytest.mark.parametrize("agent", ["blamed", "blamed-apart"])
async def test_a_task_may_have_a_limit_for_its_steps(own: Own, agent: str, tmp_path: Path) -> None:
    await own.worker()
    hold = tmp_path / "hold"
    hold.touch()
    options = {"where": "execute", "hold": str(hold)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True, step_seconds=0.7)
    assert (await own.tasks.get(path))["step_seconds"] == 0.7

    async def told() -> bool:
        return "retry" in types(await own.tasks.events(path))

    await until(told, what="the failure")
    retry = next(event for event in await own.tasks.events(path) if event["type"] == "retry")
    assert "took longer than 0.7 s" in retry["error"]
    await own.tasks.post(f"{path}/stop")
    edited = await own.tasks.client.patch(f"/api/tasks/{path}", json={"step_seconds": None})
    assert edited.status_code == 200 and edited.json()["step_seconds"] is None
    hold.unlink()
    await own.tasks.post(f"{path}/resume")
    await own.tasks.wait(path, "DONE")
    assert ticks(await own.tasks.events(path)) == [1, 2, 3]


@pytest.mark.parametrize(("agent", "deadly"), [("blamed-blocks", "worker"), ("blamed-blocks-apart", "process")])
async def test_who_blocks_the_event_loop_is_told_the_remedy(own: Own, agent: str, deadly: str) -> None:
    """It declares how long it may; its neighbours in the same worker are not counted for it."""
    await own.worker()
    options = {"where": "plan", "harm": "block", "seconds": 20}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)

    async def failed() -> bool:
        if not own.workers[-1].alive():
            assert deadly == "worker" and own.workers[-1].process.returncode == 70
            await own.worker()
        return (await own.tasks.get(path))["stage"] == "FAILED"

    await until(failed, seconds=120, what="its quarantine")
    error = (await own.tasks.get(path))["error"]
    assert error["type"] == "Quarantined" and "did not yield for 1 s" in error["cause"]
    assert "asyncio.to_thread" in error["remedy"]


async def test_an_agent_that_the_kernel_kills_for_memory_counts(own: Own) -> None:
    """With a process of its own: three times, and it is told why; its worker in the same container lives."""
    group = memory_group(450)
    if group is None:
        pytest.skip("This process may make no memory groups (cgroups).")
    worker = await own.worker()
    process = psutil.Process(worker.pid)
    for each in (process, *process.children(recursive=True)):
        group.take(each.pid)
    try:
        options = {"where": "execute", "harm": "memory"}
        path = await own.tasks.started(options, agent_type="blamed-apart", auto_accept=True)
        error = (await own.tasks.wait(path, "FAILED"))["error"]
        assert error["type"] == "Quarantined" and "killed for lack of memory (signal SIGKILL)" in error["cause"]
        assert "had no memory left" in error["remedy"]
        assert group.kills == 3 and worker.alive()
    finally:
        own.end_workers()
        await group.remove()


async def test_steps_that_hang_leave_room_for_others(own: Own, tmp_path: Path) -> None:
    """All slots of a worker were theirs."""
    hold = tmp_path / "hold"
    own.workers.append(await own.parts.start("worker", **own.environment, PAVO_WORKER_TASKS="2"))
    hanging = [await held(own, "blamed", "execute", hold) for _ in range(2)]
    options = {"where": "execute", "hold": str(hold)}
    late = [await own.tasks.started(options, agent_type="blamed", auto_accept=True) for _ in range(2)]

    async def told() -> bool:
        views = [await own.tasks.get(path) for path in late]
        return all(view["stage_status"].startswith("WAITING:a place") for view in views)

    await until(told, what="that they wait for a place")
    for _ in range(3):
        other = await own.tasks.started({}, agent_type="blamed-apart", auto_accept=True)
        await own.tasks.wait(other, "DONE")
    assert [(await own.tasks.get(path))["stage"] for path in hanging] == ["EXECUTING"] * 2
    await own.tasks.post(f"{hanging[0]}/stop")

    async def steps() -> list[int]:
        return [(await own.tasks.get(path))["steps"] for path in late]

    async def one_goes_on() -> bool:
        return any(await steps())

    await until(one_goes_on, what="a step of one that waited")
    assert sorted(await steps()) == [0, 1], "one place came free"
    hold.unlink()
    for path in (hanging[1], *late):
        await own.tasks.wait(path, "DONE")


@pytest.mark.fault
async def test_threads_that_hang_starve_nobody(own: Own, tmp_path: Path) -> None:
    """More than an executor that all share would have: a neighbour's failure was not even told then."""
    worker, hold = await own.worker(), tmp_path / "hold"
    hold.touch()
    options = {"where": "execute", "harm": "thread"}
    begun = [
        own.tasks.started({**options, "hold": str(hold)}, agent_type="blamed", auto_accept=True)
        for _ in range((os.cpu_count() or 1) + 6)
    ]
    hanging = await asyncio.gather(*begun)
    for path in hanging:
        await until(lambda path=path: recorded(own, path, 1), what="the step before it hangs")

    async def neighbours_go_on() -> None:
        calls = await own.tasks.started(options, agent_type="blamed-quick", auto_accept=True)
        fails = await own.tasks.started({**options, "harm": "raise"}, agent_type="blamed-quick", auto_accept=True)
        await own.tasks.wait(calls, "DONE", seconds=15)

        async def told() -> bool:
            return "retry" in types(await own.tasks.events(fails))

        await until(told, seconds=15, what="the failure")
        await own.tasks.post(f"{fails}/stop")

    await neighbours_go_on()
    for path in hanging:
        await own.tasks.post(f"{path}/stop")
    await neighbours_go_on()
    asked = time.monotonic()
    worker.kill(signal.SIGTERM)
    await asyncio.to_thread(worker.process.wait, 30)
    assert time.monotonic() - asked < 20


@pytest.mark.parametrize("agent", AGENTS)
async def test_the_report_has_the_limit_of_steps(own: Own, agent: str, tmp_path: Path) -> None:
    """It left the task EXECUTING for ever."""
    await own.worker()
    hold = tmp_path / "hold"
    hold.touch()
    options = {"where": "report", "hold": str(hold)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True, step_seconds=0.7)

    async def told() -> bool:
        return "retry" in types(await own.tasks.events(path))

    await until(told, what="the failure")
    retry = next(event for event in await own.tasks.events(path) if event["type"] == "retry")
    assert "took longer than 0.7 s" in retry["error"] and retry["step"] == 4
    hold.unlink()
    await own.tasks.wait(path, "DONE")
    assert ticks(await own.tasks.events(path)) == [1, 2, 3]


async def test_who_blocks_after_each_step_is_quarantined(own: Own) -> None:
    """Each recorded step forgot the deaths before, and a worker ended of it every few seconds, for ever."""
    options = {"where": "crawl", "harm": "block", "seconds": 20}
    await own.worker()
    path = await own.tasks.started(options, agent_type="blamed-blocks", auto_accept=True)
    for _ in range(3):
        await asyncio.to_thread(own.workers[-1].process.wait, 120)
        assert own.workers[-1].process.returncode == 70
        await own.worker()
    error = (await own.tasks.wait(path, "FAILED"))["error"]
    assert error["type"] == "Quarantined" and "did not yield for 1 s" in error["cause"]
    assert (await own.tasks.get(path))["steps"] >= 3
