"""The end of a child process whose output nobody reads any more."""

import asyncio
import signal

from pavo.kit.processes import ProcessIdentity, has_ended, kill_session

PIPE = asyncio.subprocess.PIPE


async def child(script: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        "sh", "-c", script, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
    )


async def full(process: asyncio.subprocess.Process) -> None:
    """Until its pipe takes no more: it does not go on by itself."""
    assert process.stdout is not None
    await process.stdout.read(1)
    while not process.stdout._paused:  # type: ignore[attr-defined]  # pyright: ignore
        await asyncio.sleep(0.01)


async def test_a_process_ends_though_nobody_reads_what_it_prints() -> None:
    process = await child("timeout 60 yes")
    await full(process)
    async with asyncio.timeout(30):
        await kill_session(process)
    assert process.returncode == -signal.SIGKILL


async def test_one_that_has_ended_is_known_while_another_holds_its_pipes() -> None:
    process = await child("sleep 60 & echo $!")
    assert process.stdout is not None
    sleeper = ProcessIdentity.of(int(await process.stdout.readline()))
    assert sleeper is not None
    assert await has_ended(process, 30) and process.returncode == 0
    async with asyncio.timeout(30):
        await kill_session(process)
    sleeper.signal(signal.SIGKILL)


async def test_one_that_goes_on_is_told_and_all_of_its_session_ends() -> None:
    process = await child("sleep 60 & echo $!; wait")
    assert process.stdout is not None
    sleeper = ProcessIdentity.of(int(await process.stdout.readline()))
    assert sleeper is not None and not await has_ended(process, 0.05)
    await kill_session(process)
    assert await sleeper.wait_gone(30)
