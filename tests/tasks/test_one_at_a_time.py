"""A worker that executes one activity at a time: tasks take turns, and no step is done within another's turn."""

from collections.abc import AsyncIterator
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
import pytest_asyncio

from tests.parts import Parts
from tests.tasks.own_stack import Own, on_path, own_stack
from tests.tasks.sparing_agents import install

STEPS = 60
TURN = 1.0


@pytest_asyncio.fixture(params=["1", ""], ids=["one", "usual"])
async def own(
    parts: Parts, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> AsyncIterator[tuple[Own, bool]]:
    folder = tmp_path_factory.mktemp("plugins")
    install(folder)
    limit = {"PAVO_WORKER_ACTIVITIES": request.param} if request.param else {}
    environment = {"PYTHONPATH": on_path(folder), "PAVO_TURN_SECONDS": str(TURN), **limit}
    async with own_stack(parts, "alone", environment) as stack:
        yield stack, bool(limit)


async def test_steps_of_tasks_do_not_overlap(own: tuple[Own, bool], tmp_path: Path) -> None:
    stack, alone = own
    paths = []
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
