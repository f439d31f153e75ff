"""A drain names what is in a long step, and waits for it or has it end, as is wished."""

import asyncio
import json
import os
import sys
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from temporalio.client import Client

from pavo.deploy.rollout import worker_versions
from tests.driving import Tasks, ticks, types, until
from tests.parts import Part, Parts, free_port
from tests.tasks.blamed_agents import install


@dataclass
class Own:
    """A deployment of its own, with agents that hold on."""

    name: str
    tasks: Tasks
    parts: Parts
    environment: dict[str, str]
    workers: list[Part]

    async def worker(self, build_id: str) -> None:
        self.workers.append(await self.parts.start("worker", **self.environment, PAVO_WORKER_BUILD_ID=build_id))

    async def command(self, *words: str, expect: int) -> tuple[str, str]:
        """What `pavo deploy workers` prints, and what it says on the error stream. It ends its process itself."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pavo.cli.main", "deploy", "workers", *words),
            env={**os.environ, **self.parts.environment, **self.environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(), 100)
        assert process.returncode == expect, error.decode()
        return out.decode(), error.decode()

    async def drain(self, *words: str, expect: int) -> tuple[dict[str, Any], str]:
        """What a drain shows for programs, and what it says meanwhile."""
        out, error = await self.command("--drain", *words, "-o", "json", expect=expect)
        return json.loads(out), error


@pytest_asyncio.fixture
async def own(parts: Parts, tmp_path: Path) -> AsyncIterator[Own]:
    folder = tmp_path / "plugins"
    install(folder)
    name, port = f"drain-{uuid.uuid4().hex[:8]}", str(free_port())
    environment = {"TEMPORAL_TASK_QUEUE": name, "PAVO_WORKER_DEPLOYMENT": name, "PAVO_PORT": port}
    # No worker looks by itself which build is current: only the drain asks.
    environment |= {"PAVO_TURN_SECONDS": "3600"}
    environment["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    api = await parts.start("api", **environment)
    headers = {"X-User-Email": f"{name}@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        found = Own(name, Tasks(client), parts, environment, [])
        yield found
    for process in (*found.workers, api):
        process.end()


async def in_long_step(own: Own, agent: str, hold: Path) -> str:
    """A task with one checkpoint, in a step that lasts while the file is there."""
    hold.touch()
    options = {"where": "execute", "hold": str(hold)}
    path = await own.tasks.started(options, agent_type=agent, auto_accept=True)

    async def one() -> bool:
        return (await own.tasks.get(path))["steps"] == 1

    await until(one)
    return path


@pytest.mark.parametrize("agent", ["blamed", "blamed-apart"])
async def test_a_long_step_is_named_and_ended_if_that_is_wished(
    own: Own, temporal: Client, agent: str, tmp_path: Path
) -> None:
    await own.worker("v1")
    hold = tmp_path / "hold"
    path = await in_long_step(own, agent, hold)
    await own.worker("v2")
    await worker_versions.set_current(temporal, own.name, "v2", own.name)
    found, said = await own.drain("--seconds", "3", expect=1)
    assert found["left"] == {"v1": 1}
    (held,) = found["held_up"]
    assert (held["subject_id"], held["agent"], held["doing"], held["checkpoints"]) == (path, agent, "step", 1)
    assert held["title"] == "Analyze churn drivers" and held["since"]
    assert path in said and "Analyze churn drivers" in said and "in the step after checkpoint 1" in said
    assert "waited for" in said and (await own.tasks.get(path))["steps"] == 1

    found, said = await own.drain("--seconds", "30", "--long-steps", "end", expect=0)
    assert found["left"] == {} and "its step is ended" in said
    own.workers.pop(0).end()
    hold.unlink()
    await own.tasks.wait(path, "DONE")
    told = await own.tasks.events(path)
    assert ticks(told) == [1, 2, 3]
    assert not {"retry", "recovered", "stopped", "failed"} & set(types(told))


async def test_planning_is_named_and_waited_for(own: Own, temporal: Client, tmp_path: Path) -> None:
    await own.worker("v1")
    hold = tmp_path / "hold"
    hold.touch()
    path = await own.tasks.started({"where": "plan", "hold": str(hold)}, agent_type="blamed")
    await own.tasks.wait(path, "PLANNING")
    await own.worker("v2")
    await worker_versions.set_current(temporal, own.name, "v2", own.name)
    found, said = await own.drain("--seconds", "3", "--long-steps", "end", expect=1)
    assert [each["doing"] for each in found["held_up"]] == ["planning"] and "waited for" in said
    hold.unlink()
    found, _ = await own.drain("--seconds", "30", expect=0)
    assert found["left"] == {} and found["held_up"] == []
    assert (await own.tasks.wait(path, "WAIT_RFC"))["plan"]["version"] == 1


async def test_only_a_drain_ends_long_steps(own: Own) -> None:
    assert "--long-steps" in (await own.command("--long-steps", "end", expect=2))[1]
