"""Properties of attempts, named after what they hold: hypothesis draws examples, workflow and PostgreSQL are real."""

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import given as draws
from hypothesis import strategies as st
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowFailureError, WorkflowHandle

from pavo.jobs import contracts as c
from pavo.jobs import domain as d
from pavo.jobs.workflow import CodingJob
from pavo.protocol.fleet_pb2 import Result
from tests.drawing import EXAMPLES
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import Step, executed, failure, kinds, published, session_lost, verified

example = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
ENDS: dict[str, Sequence[Step | Result]] = {
    "completes": [executed()],
    "changes nothing": [executed(changed=False)],
    "fails": [failure("NoSpace")],
    "fails once": [failure(retryable=True), executed()],
    "loses its session": [session_lost, executed()],
}
WALK = [c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST]
OVER = {"completes": "DONE", "changes nothing": "DONE", "fails": "FAILED", "fails once": "DONE"}


async def ended(handle: WorkflowHandle[Any, str]) -> str:
    try:
        return await handle.result()
    except WorkflowFailureError:
        return d.FAILED


async def carried_out(given_: Given, how: str, **more: Any) -> tuple[Any, str]:
    """A job that ends so, and its last stage."""
    job = await given_.job(**more)
    given_.agent.asked.clear()
    given_.agent.script.clear()
    given_.agent.will(c.START_EXECUTION, *ENDS[how])
    return job, await ended(await given_.start(job))


class Loop:
    """Runs what an example does on the loop of its test, whose own thread hypothesis keeps."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()

    def run(self, doing: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(doing, self._loop).result(120)


async def hold(examples: Any) -> None:
    """Have hypothesis draw in a thread; the test's loop does the work."""
    await asyncio.to_thread(examples)


async def test_creation_round_trip(given: Given) -> None:
    """The row names the workflow, and the workflow the row."""
    loop = Loop()

    @example
    @draws(title=st.text(min_size=1, max_size=50).filter(_storable), rounds=st.integers(0, 2))
    def examples(title: str, rounds: int) -> None:
        async def one() -> None:
            job = await given.job(title=title, rounds=rounds)
            handle = await given.start(job)
            await ended(handle)
            row = await given.row(job)
            described = await handle.describe()
            assert (row.workflow_id, row.run_id) == (described.id, described.run_id)
            assert d.job_of_workflow(described.id) == str(job)
            assert (row.title, row.generation) == (title, row.epoch)

        loop.run(one())

    await hold(examples)


async def test_parameters_complete(given: Given) -> None:
    """Every command names job, epoch, kind and round, and nothing of what is written in the row is in the history."""
    loop = Loop()

    @example
    @draws(failed=st.integers(0, 2))
    def examples(failed: int) -> None:
        async def one() -> None:
            job = await given.job(rounds=2, prompt="a secret prompt")
            given.agent.asked.clear()
            given.agent.will(c.RUN_VERIFICATION, *[verified("tests")] * failed)
            handle = await given.start(job)
            assert await ended(handle) == d.DONE
            for each in given.agent.asked:
                assert each.job_id == str(job) and each.epoch == 1
                assert each.command_id == c.command_id(str(job), 1, each.kind, each.round, each.attempt)
            assert [each.round for each in given.agent.asked if each.kind == c.START_EXECUTION] == [*range(failed + 1)]
            assert "secret" not in (await handle.fetch_history()).to_json()

        loop.run(one())

    await hold(examples)


async def test_sequential_order(given: Given) -> None:
    """A command is asked for when the one before it has ended, and in the order of the walk."""
    loop = Loop()

    @example
    @draws(failed=st.integers(0, 2), how=st.sampled_from(["completes", "fails once", "loses its session"]))
    def examples(failed: int, how: str) -> None:
        async def one() -> None:
            given.agent.script.clear()
            given.agent.will(c.RUN_VERIFICATION, *[verified("tests")] * failed)
            job = await given.job(rounds=2)
            given.agent.asked.clear()
            given.agent.will(c.START_EXECUTION, *ENDS[how])
            handle = await given.start(job)
            assert await ended(handle) == d.DONE
            walk = [c.START_EXECUTION, c.RUN_VERIFICATION] * (failed + 1)
            found = kinds(given.agent.asked)
            once = [kind for at, kind in enumerate(found) if at == 0 or found[at - 1] != kind]
            assert once == [*walk, c.CREATE_PULL_REQUEST, c.CLEANUP]
            at_once = 0
            async for event in handle.fetch_history_events():
                if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
                    at_once += 1
                    assert at_once == 1
                elif event.event_type in ENDS_OF_ACTIVITIES:
                    at_once -= 1

        loop.run(one())

    await hold(examples)


ENDS_OF_ACTIVITIES = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
)


async def test_continuation_after_completion_failure_cancellation(given: Given) -> None:
    """However an attempt ends, the agent's place is free: nothing of it is in progress, its lease is gone."""
    loop = Loop()

    @example
    @draws(ends=st.lists(st.sampled_from([*OVER, "cancelled"]), min_size=2, max_size=3))
    def examples(ends: list[str]) -> None:
        async def one() -> None:
            for how in ends:
                if how == "cancelled":
                    job = await given.job()
                    given.agent.script.clear()
                    given.agent.cancelled.clear()
                    given.agent.will(c.START_EXECUTION, given.agent.until_cancelled)
                    handle = await given.start(job)
                    await handle.signal(CodingJob.cancel)
                    assert await ended(handle) == d.CANCELLED
                else:
                    job, stage = await carried_out(given, how)
                    assert stage == OVER[how]
                row = await given.row(job)
                assert row.stage in d.OVER and row.lease_until is None
                assert (await given.attempt(job)).ended_at is not None

        loop.run(one())

    await hold(examples)


async def test_results_propagated(given: Given) -> None:
    """What the agent published is in the row and in the timeline, and what it did not is not."""
    loop = Loop()
    urls = st.integers(1, 10**6).map(lambda number: f"https://forge.example/pulls/{number}")

    @example
    @draws(url=st.one_of(st.just(""), urls), changed=st.booleans())
    def examples(url: str, changed: bool) -> None:
        async def one() -> None:
            given.agent.script.clear()
            job = await given.job()
            given.agent.will(c.START_EXECUTION, executed(changed=changed))
            given.agent.will(c.CREATE_PULL_REQUEST, published(url))
            assert await ended(await given.start(job)) == d.DONE
            row, told = await given.row(job), [each.type for each in await given.events(job)]
            outcome = ("published" if url else "pushed") if changed else "no_changes"
            assert (row.outcome, row.commit) == (outcome, "c0ffee" if changed else None)
            assert row.pull_request_url == (url if changed and url else None)
            assert ("pull_request" in told) == (row.pull_request_url is not None)

        loop.run(one())

    await hold(examples)


async def test_stage_change_events(given: Given) -> None:
    """The timeline tells every stage that the row has had, once, in order; it ends with the row's."""
    loop = Loop()

    @example
    @draws(how=st.sampled_from([*ENDS]), failed=st.integers(0, 1))
    def examples(how: str, failed: int) -> None:
        async def one() -> None:
            given.agent.script.clear()
            job = await given.job(rounds=1)
            given.agent.will(c.RUN_VERIFICATION, *[verified("tests")] * failed)
            given.agent.will(c.START_EXECUTION, *ENDS[how])
            stage = await ended(await given.start(job))
            stages = await given.stages(job)
            assert stages[-2:] == [d.CLEANING, stage] and (await given.row(job)).stage == stage
            assert all(one != other for one, other in pairwise(stages))
            events = await given.events(job)
            assert [each.seq for each in events] == [*range(1, len(events) + 1)]

        loop.run(one())

    await hold(examples)


async def test_cancellation(given: Given) -> None:
    """Cancelled at any command, the job ends CANCELLED, the agent cleans up, and no later command is asked for."""
    loop = Loop()

    @example
    @draws(at=st.sampled_from(WALK))
    def examples(at: str) -> None:
        async def one() -> None:
            given.agent.script.clear()
            given.agent.cancelled.clear()
            job = await given.job()
            given.agent.asked.clear()
            given.agent.will(at, given.agent.until_cancelled)
            handle = await given.start(job)
            await given.until_asked(at)
            await handle.signal(CodingJob.cancel)
            assert await ended(handle) == d.CANCELLED
            assert kinds(given.agent.asked) == [*WALK[: WALK.index(at) + 1], c.CLEANUP]
            assert not (await given.attempt(job)).cleanup_owed

        loop.run(one())

    await hold(examples)


async def test_failures_recorded(given: Given) -> None:
    """Type, cause and remedy of what failed are in the row, in the attempt and in the timeline."""
    loop = Loop()

    @example
    @draws(
        kind=st.sampled_from([c.START_EXECUTION, c.RUN_VERIFICATION, c.CREATE_PULL_REQUEST]),
        name=st.sampled_from("ABC"),
    )
    def examples(kind: str, name: str) -> None:
        async def one() -> None:
            given.agent.script.clear()
            job = await given.job()
            given.agent.will(kind, failure(f"Broken{name}"))
            assert await ended(await given.start(job)) == d.FAILED
            row, attempt = await given.row(job), await given.attempt(job)
            error = {"type": f"Broken{name}", "cause": f"Broken{name}: because.", "remedy": "Mend it."}
            assert row.error == error and attempt.reason.startswith(f"Broken{name}: ")
            (told,) = [each for each in await given.events(job) if each.type == "attempt_ended"]
            assert told.data["error"] == error

        loop.run(one())

    await hold(examples)


def _storable(text: str) -> bool:
    return "\0" not in text and text.isprintable()
