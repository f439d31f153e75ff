"""Locks, exhausted pools and full disks: 503 with Retry-After, never 500, and recovery when it ends."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psycopg
import pytest
from temporalio.client import Client

from tests.faults.drive import Driver
from tests.faults.stack import Stack, running_stack, until
from tests.faults.test_kill import moved, progress

pytestmark = [pytest.mark.fault, pytest.mark.timeout(280)]
LOCK_SECONDS = 5.0
DISK_MB = 160


async def locked_table(stack: Stack, seconds: float) -> None:
    """An exclusive lock on `tasks` for a while: requests are answered 503, then all goes on."""
    async with Driver(stack) as driver:
        task = await driver.create(100, 0.05)
        await driver.start(task)
        await driver.wait(task, lambda view: view["steps"] > 3, "steps")
        connection = await psycopg.AsyncConnection.connect(stack.database_url)
        async with connection:
            await connection.execute("LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
            until_time = time.monotonic() + seconds
            codes = set()
            while time.monotonic() < until_time:
                answers = await asyncio.gather(
                    driver.once("GET", f"/api/tasks/{task}"),
                    driver.once("POST", "/api/tasks", json={"title": "x", "agent_type": "intern"}),
                )
                codes |= {answer.status_code for answer in answers}
            assert 503 in codes
        await driver.verify([task], 100)
        print(f"answers during the lock: {codes}")


async def test_a_locked_table(stack: Stack) -> None:
    await locked_table(stack, LOCK_SECONDS)


async def test_a_write_that_has_to_wait_grows_no_history(stack: Stack) -> None:
    """An answer that cannot be recorded: soon it waits outside the workflow task, which would tell of each second."""
    temporal = await Client.connect(stack.temporal_address)
    async with Driver(stack) as driver:
        task = await driver.create(10, 0.02, auto_accept=False)
        await driver.start(task)
        view = await driver.stage(task, "WAIT_RFC")
        handle = temporal.get_workflow_handle(view["workflow_id"])
        async with await psycopg.AsyncConnection.connect(stack.database_url) as connection:
            await connection.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
            await handle.signal("signal_accept_rfc")

            async def tried(times: int) -> int:
                run = (await handle.describe()).raw_description
                waiting = [work for work in run.pending_activities if work.attempt >= times]
                return run.workflow_execution_info.history_length if waiting else 0

            first = await until(lambda: tried(1), 60, "an activity of its own")
            assert first < 60, "ten seconds of waiting inside the workflow task"
            assert await until(lambda: tried(3), 60, "its third attempt") == first
        await driver.verify([task], 10)


async def test_attempts_that_fail_in_order_are_no_deaths(two_workers: Stack) -> None:
    """Commits that cannot be made: the other worker goes on, and nobody says that the first had died."""
    stack = two_workers
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(150, 0.05) for _ in range(8)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        for task in ids:
            await driver.wait(task, lambda view: view["steps"] > 3, "steps")
        for _ in range(2):
            recorded = await progress(stack)
            async with await psycopg.AsyncConnection.connect(stack.database_url) as connection:
                await connection.execute("LOCK TABLE events IN ACCESS EXCLUSIVE MODE")
                await asyncio.sleep(LOCK_SECONDS)  # longer than a statement waits for a lock
            await until(lambda before=recorded: moved(stack, before + 8), 60, "steps after the lock")
        await driver.verify(ids, 150)
        told = [event for task in ids for event in await driver.events(task) if event["type"] == "recovered"]
        assert not told, told


async def exhausted_pool(stack: Stack) -> None:
    """Every connection of the API waits for a lock; the requests behind them find none free."""
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(100, 0.05) for _ in range(3)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        connection = await psycopg.AsyncConnection.connect(stack.database_url)
        async with connection:
            await connection.execute("LOCK TABLE documents IN ACCESS EXCLUSIVE MODE")
            answers = await asyncio.gather(*(driver.once("GET", f"/api/tasks/{ids[0]}") for _ in range(40)))
            assert {answer.status_code for answer in answers} == {503}
        answers = await asyncio.gather(*(driver.once("GET", f"/api/tasks/{ids[0]}") for _ in range(200)))
        assert {answer.status_code for answer in answers} <= {200, 503}
        await driver.verify(ids, 100)


async def test_an_exhausted_pool(stack: Stack) -> None:
    await exhausted_pool(stack)


@pytest.fixture
async def small_disk() -> AsyncIterator[Stack]:
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        pytest.skip("mounting a small tmpfs needs root on Linux")
    disk: list[Path] = []

    def mount(folder: Path) -> None:
        """Where the stack's PostgreSQL keeps its data."""
        disk.append(folder / "data" / "postgres")
        disk[0].mkdir(parents=True)
        disk[0].parent.chmod(0o711)
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(disk[0])]
        made = subprocess.run(words, capture_output=True, check=False)
        if made.returncode:
            shutil.rmtree(folder)
            pytest.skip(f"cannot mount a tmpfs: {made.stderr.decode().strip()}")

    def unmount() -> None:
        subprocess.run(["umount", str(disk[0])], check=True)

    async with running_stack(prepare=mount, release=unmount) as stack:
        yield stack


async def test_a_full_disk(small_disk: Stack) -> None:
    stack = small_disk
    async with Driver(stack) as driver:
        ids = await asyncio.gather(*(driver.create(100, 0.05) for _ in range(3)))
        await asyncio.gather(*(driver.start(task) for task in ids))
        for task in ids:
            await driver.wait(task, lambda view: view["steps"] > 3, "steps")
        ballast = stack.data / "postgres" / "ballast"
        with ballast.open("wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65_536)
            except OSError as error:
                print(f"disk full: {error}")
        refused = 0
        until_time = time.monotonic() + 20
        body = {"title": "x", "agent_type": "intern", "prompt": "y" * 15_000}
        while refused < 3:
            assert time.monotonic() < until_time, "nothing was refused on a full disk"
            try:
                answer = await driver.once("POST", "/api/tasks", json=body)
                refused += answer.status_code == 503
            except OSError:
                continue
        print(f"refused {refused}, {driver.statuses}")
        ballast.unlink()
        await until(lambda: driver.get(ids[0]), 60, "recovered")
        await driver.create(1)
        await driver.verify(ids, 100)
