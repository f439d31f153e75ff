"""A worker that executes one activity at a time: tasks take turns, and nothing is done within another's turn."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from tests.driving import Tasks, until
from tests.parts import Parts
from tests.tasks import spanning_agents, sparing_agents
from tests.tasks.own_stack import Own, on_path, own_stack

STEPS = 60
TURN = 1.0
FOR_EVER = 600.0


@pytest_asyncio.fixture(scope="module", params=["1", ""], ids=["one", "usual"])
async def own(
    parts: Parts, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Own, bool]]:
    folder = tmp_path_factory.mktemp("plugins")
    sparing_agents.install(folder)
    spanning_agents.install(folder)
    limit = {"PAVO_WORKER_ACTIVITIES": request.param} if request.param else {}
    environment = {"PYTHONPATH": on_path(folder), "PAVO_TURN_SECONDS": str(TURN), **limit}
    async with own_stack(parts, "alone", environment) as stack:
        yield stack, bool(limit)


async def test_steps_of_tasks_do_not_overlap(own: tuple[Own, bool], tmp_path: Path) -> None:
    stack, alone = own
    paths = list[str]()
    for number in range(3):
        options = {"calls": str(tmp_path / str(number)), "groups": STEPS, "small": 1, "seconds": 0.05}
        paths.append(await stack.tasks.started(options, agent_type="sparing", auto_accept=True))
    found: list[tuple[datetime, str]] = []
    for path in paths:
        await stack.tasks.wait(path, "DONE")
        events = [each for each in await stack.tasks.events(path) if each["type"] == "tick"]
        assert len(events) == STEPS
        found += [(datetime.fromisoformat(each["at"]), path) for each in events]
    found.sort()
    switches = sum(before != after for (_, before), (_, after) in pairwise(found))
    took = (found[-1][0] - found[0][0]).total_seconds()
    turns = took / TURN + 3
    assert switches <= turns if alone else switches > turns, (switches, took)


async def test_neither_do_plans_and_steps(own: tuple[Own, bool], tmp_path: Path) -> None:
    stack, alone = own
    spans = tmp_path / "spans"

    async def begin(label: str, *, apart: bool, auto_accept: bool) -> str:
        options = {"spans": str(spans), "label": label, "steps": 20, "seconds": 0.05, "plan_seconds": 1.0}
        agent = "spanning_apart" if apart else "spanning"
        return await stack.tasks.started(options, agent_type=agent, auto_accept=auto_accept)

    executed = [await begin(label, apart=label == "b", auto_accept=True) for label in "abc"]
    planned = [await begin(label, apart=label == "e", auto_accept=False) for label in "def"]
    for path in planned:
        await stack.tasks.wait(path, "WAIT_RFC")
    for path in executed:
        await stack.tasks.wait(path, "DONE")
    found = sorted(
        (int(begun), int(ended), label) for label, begun, ended in map(str.split, spans.read_text().splitlines())
    )
    # At least: a step whose attempt is cut before it was recorded is done again.
    assert len(found) >= 6 + 3 * 20 and {label for _, _, label in found} == set("abcdef")
    overlaps = [(one, other) for one, other in pairwise(found) if other[0] < one[1]]
    assert not overlaps if alone else overlaps


async def waits_for(tasks: Tasks, path: str) -> list[str]:
    return [event["for"] for event in await tasks.events(path) if event["type"] == "waiting"]


async def test_a_stop_is_answered_while_a_step_takes_long(own: tuple[Own, bool], tmp_path: Path) -> None:
    stack, alone = own
    tasks, spans = stack.tasks, tmp_path / "spans"
    options = {"spans": str(spans), "seconds": FOR_EVER}
    long = await tasks.started({**options, "label": "long"}, agent_type="spanning_apart", auto_accept=True)

    async def stepping() -> bool:  # its plan is there
        return spans.exists() and (await tasks.get(long))["stage"] == "EXECUTING"

    await until(stepping)
    waiting, kept = [await tasks.started({**options, "label": each}, agent_type="spanning") for each in ("w", "k")]
    if alone:

        async def told() -> bool:
            return [len(await waits_for(tasks, each)) for each in (waiting, kept)] == [1, 1]

        await until(told, what="what the plans wait for")
        assert "at once" in (await waits_for(tasks, waiting))[0]
        await tasks.post(f"{waiting}/stop")
        assert (await tasks.get(waiting))["stage"] == "STOPPED"
        assert not spans.with_suffix(".k").exists()
    await tasks.post(f"{long}/stop")
    assert (await tasks.get(long))["stage"] == "STOPPED"
    await tasks.wait(kept, "WAIT_RFC")
