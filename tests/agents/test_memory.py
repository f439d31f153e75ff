"""The kernel kills an isolated agent for lack of memory, really: its death counts, and says why."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.memory_groups import memory_group

from pavo.kit.processes import KillsForMemory

WORKER = """
import asyncio, json, sys
sys.path[:0] = sys.argv[1:3]
from sample_agents import Faulty
from conftest import PLAN, opened
from pavo.agents.hosts.agent_host import HostLimits
from pavo.errors import AgentDied

async def main():
    limits = HostLimits(memory_mb=4096, silence_seconds=20, start_seconds=30, close_seconds=1.0)
    async with opened(sys.argv[3], Faulty, limits, what="hog") as host:
        await host.open(PLAN, None)
        await host.next_step()
        try:
            await host.next_step()
        except AgentDied as error:
            print(json.dumps([error.detail, error.remedy]))

asyncio.run(main())
"""


@pytest.mark.fault
@pytest.mark.parametrize("kind", ["process", "spawned"])
async def test_an_agent_that_the_kernel_kills_for_memory_says_so(kind: str) -> None:
    """The limit of its own was not reached: it had the memory of a worker of 300 MiB, which lives on."""
    group = memory_group(300)
    if group is None:
        pytest.skip("This process may make no memory groups (cgroups).")
    here = Path(__file__).parent
    command = [sys.executable, "-c", WORKER, str(here), str(here.parents[1]), kind]
    try:
        done = await asyncio.to_thread(
            lambda: subprocess.run(command, capture_output=True, text=True, preexec_fn=group.take, check=False)
        )
        assert done.returncode == 0, done.stderr
        cause, remedy = json.loads(done.stdout)
        assert cause == "killed for lack of memory (signal SIGKILL)" and "had no memory left" in remedy
        assert group.kills == 1
    finally:
        await group.remove()


def test_kills_are_counted_where_the_kernel_tells(tmp_path: Path) -> None:
    place = tmp_path / "memory.events"
    place.write_text("low 0\noom 1\noom_kill 3\noom_group_kill 0\n")
    seen = KillsForMemory(place, 3)
    assert not seen.more()
    place.write_text("oom_kill 4\n")
    assert seen.more()
    place.unlink()
    assert not seen.more()
