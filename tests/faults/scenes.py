"""What agents and viewers do to a stack in the long run: each scene makes it happen and judges what came of it."""

import asyncio
import itertools
import signal
import socket
from pathlib import Path

from tests.faults.drive import Driver, check_timeline
from tests.faults.rogues import AT, PLACES, install
from tests.faults.stack import Stack, until

API_MB = 500
"""What the API may hold beside viewers that do not read."""
SLOW = 60
"""Viewers that never read."""
EVENT_BYTES = 60_000


async def base_exceptions(stack: Stack) -> None:
    """Agents raise what is no Exception, wherever they can: each task says so, their neighbours finish."""
    workers = {part.name: part.pid for part in stack.workers}
    async with Driver(stack) as driver:
        unruly = {
            (agent, at): await driver.create(0, agent=agent, options={"at": at})
            for agent, at in itertools.product(("unruly", "unruly-inside"), PLACES)
        }
        neighbours = [await driver.create(60, 0.05) for _ in range(2)]
        await asyncio.gather(*(driver.start(task) for task in (*unruly.values(), *neighbours)))
        for (agent, at), task in unruly.items():
            view = await driver.stage(task, "FAILED", seconds=120)
            assert "Outburst" in str(view["error"]), (agent, at, view["error"])
            check_timeline(task, await driver.events(task), 0 if at == "plan" else AT)
        await driver.verify(neighbours, 60)
    assert {part.name: part.pid for part in stack.workers} == workers, "a worker died of an agent's exception"


async def long_steps(stack: Stack) -> None:
    """Workers die and freeze again and again within one step: it is repeated until it is done, and nobody is blamed."""
    async with Driver(stack) as driver:
        tasks = [
            await driver.create(0, agent=agent, options={"steps": 2, "seconds": 8})
            for agent in ("patient", "patient-inside")
        ]
        await asyncio.gather(*(driver.start(task) for task in tasks))
        for number in range(5):
            await asyncio.gather(*(until(lambda t=task: _at_work(stack, t), 60, "an attempt") for task in tasks))
            await asyncio.sleep(1)
            if number % 2:
                workers = [part for part in stack.workers if part.alive]
                for part in workers:
                    part.send(signal.SIGSTOP)
                await asyncio.sleep(2)
                for part in workers:
                    part.send(signal.SIGCONT)
            else:
                for part in stack.workers:
                    await stack.kill(part.name)
                await stack.ready(120)
        await driver.verify(tasks, 2, seconds=180)


async def _at_work(stack: Stack, task: str) -> bool:
    rows = await stack.sql(f"SELECT holder IS NOT NULL OR step = 2 FROM executions WHERE task_id = '{task}'")
    return bool(rows) and rows[0][0]


async def swapped_code(stack: Stack) -> None:
    """Another version of the agents is installed under running workers: what runs goes on, with its own code until its
    worker is replaced."""
    plugin = stack.folder / "plugins" / "rogue_agents.py"
    code = _code(plugin)
    async with Driver(stack) as driver:
        options = {"steps": 60, "seconds": 0.1}
        tasks = [await driver.create(0, agent=agent, options=options) for agent in ("patient", "patient-inside")]
        await asyncio.gather(*(driver.start(task) for task in tasks))
        for task in tasks:
            await driver.wait(task, lambda view: view["steps"] >= 5, "steps before")
        install(stack.folder, code + 1)
        for task in tasks:
            await driver.stop(task)
            await driver.stage(task, "STOPPED", "DONE")
            await driver.resume(task)
            await driver.wait(task, lambda view: view["steps"] >= 25, "steps after")
        for part in stack.workers:
            await stack.kill(part.name)
        await stack.ready(120)
        await driver.verify(tasks, 60)
        for task in tasks:
            codes = [event["code"] for event in await driver.events(task) if event["type"] == "told"]
            assert codes == sorted(codes), codes
            assert codes[0] == code and codes[-1] in (code, code + 1), codes


def _code(plugin: Path) -> int:
    return next(int(line[7:]) for line in plugin.read_text().splitlines() if line.startswith("CODE = "))


async def slow_viewers(stack: Stack) -> None:
    """Viewers that never read, of large events: the API's memory stays bounded, who reads sees everything."""
    async with Driver(stack) as driver:
        options = {"steps": 120, "seconds": 0.02, "bytes": EVENT_BYTES}
        task = await driver.create(0, agent="patient", options=options)
        neighbour = await driver.create(100, 0.05)
        slow = [_deaf(stack, task) for _ in range(SLOW)]
        try:
            await asyncio.gather(driver.start(task), driver.start(neighbour))
            await driver.verify([neighbour], 100)
            await driver.verify([task], 120)
            used = _memory_mb(stack.part("api").pid)
            print(f"the API holds {used} MB beside {SLOW} viewers that do not read")
            assert used < API_MB
        finally:
            for viewer in slow:
                viewer.close()


def _deaf(stack: Stack, task: str) -> socket.socket:
    host, _, port = stack.api.removeprefix("http://").partition(":")
    viewer = socket.socket()
    viewer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    viewer.connect((host, int(port)))
    request = f"GET /api/tasks/{task}/stream HTTP/1.1\r\nHost: {host}\r\nX-User-Email: faults@example.org\r\n\r\n"
    viewer.sendall(request.encode())
    return viewer


def _memory_mb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


async def blocked_loops(stack: Stack) -> None:
    """Steps that block their event loop for a while, in both isolations: they finish, and so do their neighbours."""
    workers = {part.name: part.pid for part in stack.workers}
    async with Driver(stack) as driver:
        options = {"steps": 2, "seconds": 14, "blocking": True}
        tasks = [await driver.create(0, agent=agent, options=options) for agent in ("patient", "patient-inside")]
        neighbours = [await driver.create(20, 0.05) for _ in range(2)]
        await asyncio.gather(*(driver.start(task) for task in (*tasks, *neighbours)))
        await driver.verify(tasks, 2, seconds=120)
        await driver.verify(neighbours, 20, seconds=120)
    assert {part.name: part.pid for part in stack.workers} == workers, "a worker died of a blocked loop"
