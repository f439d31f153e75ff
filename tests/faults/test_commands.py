"""Commands at the wrong moment, twice, in any order, and right before everything dies."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import Client

from tests.faults.drive import Driver, check_timeline, seeded
from tests.faults.stack import Stack, until

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
ROUNDS = 8
DUPLICATED = 200
Check = Callable[[], Awaitable[None]]


def ok_or_conflict(answers: list, *, some_ok: bool = True) -> None:
    codes = sorted({answer.status_code for answer in answers})
    assert set(codes) <= {200, 201, 202, 204, 409, 503}, [(a.status_code, a.text[:200]) for a in answers]
    if some_ok:
        assert any(answer.is_success for answer in answers), codes


async def stop_and_resume(stack: Stack, rng: random.Random, rounds: int) -> None:
    async with Driver(stack) as driver:
        steps = 20 * rounds
        task = await driver.create(steps, 0.02)
        await driver.start(task)
        stopped = 0
        for _ in range(rounds):
            await asyncio.sleep(rng.uniform(0, 0.4))
            answer = await driver.stop(task)
            assert answer.status_code in (200, 202), answer.text
            view = await driver.stage(task, "STOPPED", "DONE")
            if view["stage"] == "DONE":
                break
            stopped += 1
            if answer.status_code == 200:
                assert answer.json()["last_step"] == view["steps"], (answer.text, view)
            await driver.resume(task)
        await driver.verify([task], steps)
        stops = [event for event in await driver.events(task) if event["type"] == "stopped"]
        print(f"stopped and resumed {stopped} of {rounds} times")
        assert len(stops) == stopped
        assert stopped == rounds


async def test_stop_and_resume_leave_the_same_record(stack: Stack) -> None:
    await stop_and_resume(stack, seeded("stop and resume"), ROUNDS)


async def test_double_clicks(stack: Stack) -> None:
    """Ten at once of everything, over a whole life with a revision."""
    async with Driver(stack) as driver:
        task = await driver.create(200, 0.02, auto_accept=False)
        base = f"/api/tasks/{task}"

        async def ten(method: str, path: str, **options: object) -> list:
            return list(await asyncio.gather(*(driver.call(method, base + path, **options) for _ in range(10))))

        ok_or_conflict(await ten("POST", "/start"))
        view = await driver.stage(task, "WAIT_RFC")
        document = view["plan"]["document_id"]
        item = await driver.ok("POST", f"{base}/documents/{document}/feedback", json={"body": "more", "step": 1})
        edits = await asyncio.gather(
            *(
                driver.call("PATCH", f"{base}/documents/{document}/feedback/{item['id']}", json={"body": f"edit {n}"})
                for n in range(10)
            )
        )
        ok_or_conflict(list(edits))
        refused = await ten("POST", "/plan/accept", json={"hash": view["plan"]["hash"]})
        assert {answer.status_code for answer in refused} == {409}
        ok_or_conflict(await ten("POST", "/plan/done-reviewing"))
        view = await driver.wait(
            task, lambda v: v["stage"] in ("WAIT_RFC", "EXECUTING") and v["plan"]["version"] == 2, "v2"
        )
        if view["stage"] == "WAIT_RFC":
            ok_or_conflict(await ten("POST", "/plan/accept", json={"hash": view["plan"]["hash"]}))
        await driver.wait(task, lambda v: v["steps"] > 5, "steps")
        ok_or_conflict(await ten("POST", "/stop"))
        await driver.stage(task, "STOPPED")
        ok_or_conflict(await ten("POST", "/resume"))
        await driver.verify([task], 200)
        types = [event["type"] for event in await driver.events(task)]
        assert types.count("accepted") == 1
        assert types.count("plan") == 2
        assert types.count("stopped") == 1
        ok_or_conflict(await ten("POST", "/stop"))
        ok_or_conflict(await ten("POST", "/resume"), some_ok=False)


async def storm(stack: Stack, rng: random.Random, commands: int) -> None:
    """Commands in any order, duplicated: never 5xx besides 503; the task can be brought to its end."""
    async with Driver(stack) as driver:
        task = await driver.create(60, 0.02, auto_accept=False)
        base = f"/api/tasks/{task}"
        sent = 0

        async def one() -> None:
            nonlocal sent
            view = await driver.get(task)
            plan = view["plan"] or {"hash": "0" * 64, "document_id": task}
            choice = rng.choice(("start", "stop", "resume", "accept", "done", "feedback", "wrong"))
            path, body = {
                "start": ("/start", None),
                "stop": ("/stop", None),
                "resume": ("/resume", None),
                "accept": ("/plan/accept", {"hash": plan["hash"]}),
                "done": ("/plan/done-reviewing", None),
                "feedback": (f"/documents/{plan['document_id']}/feedback", {"body": "again"}),
                "wrong": ("/plan/accept", {"hash": "f" * 64}),
            }[choice]
            for _ in range(rng.choice((1, 1, 2))):
                sent += 1
                answer = await driver.once("POST", base + path, json=body)
                assert answer.status_code in (200, 201, 202, 404, 409, 503), f"{choice}: {answer.text}"
                assert not (choice == "wrong" and answer.is_success)

        while sent < commands:
            await asyncio.gather(*(one() for _ in range(6)))
        await finish(driver, task)
        await driver.verify([task], 60)
        types = [event["type"] for event in await driver.events(task)]
        assert types.count("accepted") == 1
        print(f"{sent} commands, {driver.statuses}")


async def finish(driver: Driver, task: str) -> None:
    """Bring a task to DONE from wherever it is."""
    for _ in range(40):
        view = await driver.wait(task, lambda v: v["stage"] != "PLANNING", "planned")
        if view["stage"] == "INIT":
            await driver.start(task)
        elif view["stage"] in ("STOPPED", "FAILED"):
            await driver.call("POST", f"/api/tasks/{task}/resume")
        elif view["stage"] == "WAIT_RFC":
            await driver.call("POST", f"/api/tasks/{task}/plan/done-reviewing")
        elif view["stage"] == "DONE":
            return
        await asyncio.sleep(0.3)


async def test_duplicated_and_reordered_commands(stack: Stack) -> None:
    await storm(stack, seeded("storm"), DUPLICATED)


async def down(stack: Stack) -> None:
    """No worker any more."""
    await asyncio.gather(*(stack.down(part.name) for part in stack.workers))


async def up(stack: Stack) -> None:
    """All workers again."""
    await asyncio.gather(*(stack.up(part.name) for part in stack.workers))


async def commands_without_a_worker(stack: Stack) -> None:
    """What needs a worker says so, and happens once when there is one."""
    async with Driver(stack) as driver:
        running, waiting, late = await asyncio.gather(
            driver.create(500, 0.05), driver.create(10, 0.02, auto_accept=False), driver.create(10, 0.02)
        )
        await asyncio.gather(driver.start(running), driver.start(waiting))
        await driver.wait(running, lambda view: view["steps"] > 3, "steps")
        plan = (await driver.stage(waiting, "WAIT_RFC"))["plan"]
        await down(stack)
        answer = await driver.stop(running)
        assert answer.status_code == 202, answer.text
        for _ in range(2):
            answer = await driver.once("POST", f"/api/tasks/{waiting}/plan/accept", json={"hash": plan["hash"]})
            assert answer.status_code == 503, answer.text
            assert "retry-after" in answer.headers
        await driver.start(late)
        before = (await driver.get(running))["steps"]
        # While the worker is just starting: commands come before it is ready.
        starting = asyncio.create_task(up(stack))
        accepts = await asyncio.gather(
            *(driver.call("POST", f"/api/tasks/{waiting}/plan/accept", json={"hash": plan["hash"]}) for _ in range(5))
        )
        await starting
        ok_or_conflict(accepts)
        view = await driver.stage(running, "STOPPED")
        assert view["steps"] == before, "steps after a stop that had answered"
        await driver.verify([waiting, late], 10)
        assert [event["type"] for event in await driver.events(waiting)].count("accepted") == 1
        assert not driver.wrong, driver.wrong


async def stop_and_resume_without_a_worker(stack: Stack) -> None:
    """Each in both orders: what no worker has shown yet counts nevertheless."""
    async with Driver(stack) as driver:
        resumed, stopped = await asyncio.gather(driver.create(2000, 0.02), driver.create(2000, 0.02))
        await asyncio.gather(driver.start(resumed), driver.start(stopped))
        for task in (resumed, stopped):
            await driver.wait(task, lambda view: view["steps"] > 3, "steps")
        assert (await driver.stop(stopped)).status_code == 200
        await driver.stage(stopped, "STOPPED")
        await down(stack)
        # Stopped in the row; a resume that nobody takes; then a stop: it must not answer with the old receipt.
        before = (await driver.get(stopped))["steps"]
        assert (await driver.once("POST", f"/api/tasks/{stopped}/resume")).status_code == 503
        assert (await driver.stop(stopped)).status_code == 202
        # Running in the row; a stop that nobody takes; then a resume: it must not answer that it runs already.
        assert (await driver.stop(resumed)).status_code == 202
        answer = await driver.once("POST", f"/api/tasks/{resumed}/resume")
        assert answer.status_code in (409, 503), answer.text
        await up(stack)
        assert (await driver.stage(stopped, "STOPPED"))["steps"] == before

        async def quiet() -> bool:
            at = [event for event in await driver.events(stopped) if event["type"] == "stopped"]
            return len(at) == 2

        await until(quiet, 60, "the second stop")
        assert (await driver.get(stopped))["steps"] == before, "steps after a stop that had answered"
        await driver.stage(resumed, "STOPPED")
        at = (await driver.get(resumed))["steps"]
        await driver.resume(resumed)
        await driver.wait(resumed, lambda view: view["steps"] > at, "steps after the resume")
        for task in (resumed, stopped):
            await driver.call("DELETE", f"/api/tasks/{task}")
        assert not driver.wrong, driver.wrong


async def test_commands_without_a_worker(stack: Stack) -> None:
    await commands_without_a_worker(stack)


async def test_the_last_of_stop_and_resume_holds_also_without_a_worker(stack: Stack) -> None:
    await stop_and_resume_without_a_worker(stack)


async def test_a_run_that_was_ended_before_its_first_write_is_started_anew(stack: Stack) -> None:
    async with Driver(stack) as driver:
        task = await driver.create(10, 0.02)
        await down(stack)
        await driver.start(task)
        temporal = await Client.connect(stack.temporal_address)
        await temporal.get_workflow_handle((await driver.get(task))["workflow_id"]).terminate("by the test")
        await up(stack)
        assert (await driver.get(task))["stage"] == "INIT"
        assert (await driver.start(task))["already_running"] is False
        await driver.verify([task], 10)


class Answered:
    """One command each, up to its 2xx answer, and what must hold however soon everything dies after it."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._steps = 20

    async def _new(self, *, steps: int = 20, auto_accept: bool = True) -> str:
        self._steps = steps
        return await self._driver.create(steps, 0.02, auto_accept=auto_accept)

    async def _reviewable(self) -> tuple[str, str]:
        task = await self._new(auto_accept=False)
        await self._driver.start(task)
        return task, (await self._driver.stage(task, "WAIT_RFC"))["plan"]["document_id"]

    async def _running(self) -> str:
        task = await self._new(steps=2000)
        await self._driver.start(task)
        await self._driver.wait(task, lambda view: view["steps"] > 3, "steps")
        return task

    async def create(self) -> Check:
        task = await self._new()

        async def holds() -> None:
            assert (await self._driver.get(task))["stage"] == "INIT"
            await self._driver.start(task)
            await self._driver.verify([task], self._steps)

        return holds

    async def start(self) -> Check:
        task = await self._new()
        await self._driver.start(task)
        return lambda: self._driver.verify([task], self._steps)

    async def accept(self) -> Check:
        task, _ = await self._reviewable()
        await self._driver.accept(task)
        return lambda: self._driver.verify([task], self._steps)

    async def feedback(self) -> Check:
        task, plan = await self._reviewable()
        path = f"/api/tasks/{task}/documents/{plan}"
        await self._driver.ok("POST", f"{path}/feedback", json={"body": "Mind the gap", "step": 2})

        async def holds() -> None:
            kept = (await self._driver.ok("GET", path))["feedback"]
            assert [item["body"] for item in kept] == ["Mind the gap"]
            view = await self._driver.get(task)
            refused = await self._driver.call(
                "POST", f"/api/tasks/{task}/plan/accept", json={"hash": view["plan"]["hash"]}
            )
            assert refused.status_code == 409, refused.text

        return holds

    async def done_reviewing(self) -> Check:
        task, plan = await self._reviewable()
        await self._driver.ok("POST", f"/api/tasks/{task}/documents/{plan}/feedback", json={"body": "More"})
        await self._driver.ok("POST", f"/api/tasks/{task}/plan/done-reviewing")

        async def holds() -> None:
            revised = lambda view: view["stage"] == "WAIT_RFC" and view["plan"]["version"] == 2  # noqa: E731
            await self._driver.wait(task, revised, "version 2")
            await self._driver.accept(task)
            await self._driver.stage(task, "DONE")
            check_timeline(task, await self._driver.events(task), None)

        return holds

    async def stop(self) -> Check:
        task = await self._running()
        answer = await self._driver.stop(task)
        assert answer.status_code in (200, 202), answer.text

        async def holds() -> None:
            view = await self._driver.stage(task, "STOPPED")
            check_timeline(task, await self._driver.events(task), view["steps"])

        return holds

    async def resume(self) -> Check:
        task = await self._running()
        await self._driver.stop(task)
        stopped = (await self._driver.stage(task, "STOPPED"))["steps"]
        await self._driver.resume(task)

        async def holds() -> None:
            view = await self._driver.wait(task, lambda view: view["steps"] > stopped + 3, "steps after the resume")
            assert view["stage"] == "EXECUTING"
            await self._driver.stop(task)
            view = await self._driver.stage(task, "STOPPED")
            check_timeline(task, await self._driver.events(task), view["steps"])

        return holds

    async def delete(self) -> Check:
        task = await self._running()
        await self._driver.ok("DELETE", f"/api/tasks/{task}")

        async def holds() -> None:
            assert (await self._driver.call("GET", f"/api/tasks/{task}")).status_code == 404
            assert (await self._driver.call("GET", f"/api/tasks/{task}/stream")).status_code == 204

        return holds


COMMANDS = ("create", "start", "accept", "feedback", "done_reviewing", "stop", "resume", "delete")


@pytest.mark.parametrize("command", COMMANDS)
async def test_everything_dies_right_after_the_answer(stack: Stack, command: str) -> None:
    async with Driver(stack) as driver:
        holds: Check = await getattr(Answered(driver), command)()
        await stack.kill_all()
        await stack.ready()
        await holds()
        assert not driver.wrong, driver.wrong


async def test_one_task_started_by_everybody_at_once(stack: Stack) -> None:
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(5, 0.01) for _ in range(3)))
        answers = await asyncio.gather(*(driver.start(task) for task in itertools.chain(ids, ids, ids)))
        assert len({answer["workflow_id"] for answer in answers}) == 3
        await driver.verify(ids, 5)
        await until(lambda: driver.get(ids[0]), 30, "API")
