"""Limits in seconds are of time in which the process ran: what stood still is not late."""

import asyncio
import signal
import sys

import pytest

from pavo.kit.clock import wait_awake

SECONDS = 2.0
CODE = f"""
import asyncio, sys
from pavo.kit.clock import wait_awake

async def main():
    line = asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    print("begun", flush=True)
    print("in time" if await wait_awake({{line}}, {SECONDS}) else "late", flush=True)
    sys.stdin.close()

asyncio.run(main())
"""


@pytest.mark.fault
async def test_a_process_that_was_stopped_is_not_late() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None and process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    process.send_signal(signal.SIGSTOP)
    await asyncio.sleep(SECONDS + 1)  # longer than it may take
    process.send_signal(signal.SIGCONT)
    process.stdin.write(b"go\n")
    said, _ = await process.communicate()
    assert said == b"in time\n" and process.returncode == 0


async def test_the_first_that_is_done_ends_the_wait_and_nothing_ends_it_late() -> None:
    loop = asyncio.get_running_loop()
    first, second = loop.create_future(), loop.create_future()
    assert await wait_awake({first, second}, 0.1) == set()
    loop.call_later(0.05, first.set_result, None)
    async with asyncio.timeout(5):
        assert await wait_awake({first, second}, 60) == {first}
