"""Installing another version of an agent under a running worker harms no task, and blames no agent."""

import os
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
import pytest_asyncio

from pavo.agents.code_version import PROTOCOL
from pavo.tasks.sql.transitions.open_lease import WORKER_LOST
from tests.driving import Tasks, types, until
from tests.parts import Part, Parts, free_port
from tests.tasks.swapped_agents import install, remove

pytestmark = pytest.mark.fault


@dataclass
class Own:
    """A stack of its own, with a folder of plug-ins."""

    tasks: Tasks
    folder: Path
    worker: Part


@pytest_asyncio.fixture
async def own(parts: Parts, tmp_path: Path) -> AsyncIterator[Own]:
    folder = tmp_path / "plugins"
    install(folder, "a")
    queue, port = f"swapped-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": queue, "PAVO_PORT": port}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    worker = await parts.start("worker", command=True, **environment)
    api = await parts.start("api", **environment)
    headers = {"X-User-Email": "swapped@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        yield Own(Tasks(client), folder, worker)
    for process in (worker, api):
        process.end()


def label(version: str) -> re.Pattern[str]:
    """What an attempt records of its code."""
    return re.compile(rf"swapped-agents 1\.0{version} \(code [0-9a-f]{{8}}, protocol {PROTOCOL}\)")


async def test_another_version_under_a_running_worker(own: Own, tmp_path: Path) -> None:
    go = tmp_path / "go"
    go.write_text("x")
    options = {"go": str(go), "steps": 4}
    agents = ["swapped", "swapped_inside", "swapped"]
    paths = [await own.tasks.started(options, agent_type=agent, auto_accept=True) for agent in agents]

    async def stepped(count: int) -> bool:
        return all([(await own.tasks.get(path))["steps"] >= count for path in paths])

    await until(lambda: stepped(1), what="the first steps")
    remove(own.folder)  # half-way: the old one is gone, the new one not yet there
    go.write_text("xx")  # what is in flight imports its next part
    late = await own.tasks.started(options, agent_type="swapped", auto_accept=True)

    async def noticed() -> bool:
        blamed = ["retry" in types(await own.tasks.events(path)) for path in (*paths, late)]
        return any(blamed) or own.worker.log.read_text().count("The worker begins anew") >= len(paths)

    await until(noticed, what="attempts that need what is gone")
    install(own.folder, "b")
    go.write_text("xxxx")
    for path in (*paths, late):
        try:
            await own.tasks.wait(path, "DONE")
        except AssertionError as stood:  # it did so once, and nobody knows why: its worker's log tells
            raise AssertionError(f"{stood}\n{own.worker.log.read_text()[-20_000:]}") from None
        events = await own.tasks.events(path)
        told = types(events)
        assert not {"failed", "retry"} & set(told), told
        # A busy machine's worker may be taken for lost, which blames no agent.
        assert {event["cause"] for event in events if event["type"] == "recovered"} <= {WORKER_LOST}, events
    for path in paths:
        assert (code := label("b").fullmatch((await own.tasks.get(path))["code"]))
        [changed] = [event for event in await own.tasks.events(path) if event["type"] == "code_changed"]
        assert label("a").fullmatch(changed["before"]) and changed["step"] >= 1
        assert changed["now"] == code[0]
    [report] = [each for each in await own.tasks.documents(late) if each["kind"] == "REPORT"]
    assert report["body"] in ("aaaa", "bbbb"), "one attempt is of one version"
    assert own.worker.alive()
