"""A spare worker waits for its turn, takes the place of one that died, and never outlives its supervisor."""

import os
import sys
from pathlib import Path

from pavo.deploy.local.machine.part_process import Launch, PartProcess, spawn
from pavo.deploy.local.spare import SpareWorker
from tests.driving import until

CODE = """
import os, sys, time
from pavo.kit.ready import announce_ready, await_turn, gently, is_spare
assert is_spare()
nice = os.nice(0)
gently(lambda: None)
assert os.nice(0) == nice
if not await_turn():
    sys.exit(7)
print("turn, in place of", os.environ["PAVO_REPLACES"], flush=True)
announce_ready()
time.sleep(600)
"""


def launch(folder: Path, name: str, replaced: str = "") -> Launch:
    environment = {**os.environ, "PAVO_REPLACES": replaced}
    return Launch([sys.executable, "-c", CODE], environment, folder / f"{name}.log", ready_line=True)


def child_of(spare: SpareWorker) -> PartProcess:
    child = spare._child  # pyright: ignore[reportPrivateUsage]
    assert child is not None
    return child


async def waiting(spare: SpareWorker) -> bool:
    return child_of(spare).waiting.is_set()


async def test_it_takes_the_place_of_a_dead_worker_and_logs_as_it(tmp_path: Path) -> None:
    spare = SpareWorker(lambda: launch(tmp_path, "worker-1"))
    assert spare.take(launch(tmp_path, "worker-2", "4711")) is None
    spare.prepare()
    await until(lambda: waiting(spare))
    waited = child_of(spare)
    assert not waited.announced.is_set()
    taken = spare.take(launch(tmp_path, "worker-2", "4711"))
    assert taken is waited
    try:
        await taken.announced.wait()

        async def logged() -> bool:
            return "turn, in place of 4711" in (tmp_path / "worker-2.log").read_text()

        await until(logged)
        spare.prepare()
        assert child_of(spare).pid != taken.pid
        second = child_of(spare)
        await spare.end()
        assert second.exited.done()
    finally:
        taken.kill_group()
    await taken.exited


async def test_one_that_is_still_importing_or_dead_is_not_taken(tmp_path: Path) -> None:
    spare = SpareWorker(lambda: launch(tmp_path, "worker-1"))
    spare.prepare()
    early = child_of(spare)
    early.waiting.clear()
    assert spare.take(launch(tmp_path, "worker-1", "1")) is None
    assert await early.exited == -9
    spare.prepare()
    await until(lambda: waiting(spare))
    dead = child_of(spare)
    dead.kill_group()
    await dead.exited
    assert spare.take(launch(tmp_path, "worker-1", "1")) is None


async def test_it_ends_with_its_supervisor(tmp_path: Path) -> None:
    child = spawn(Launch([sys.executable, "-c", CODE], dict(os.environ), tmp_path / "log", ready_line=True, spare=True))
    await child.waiting.wait()
    assert child.turn is not None
    os.close(child.turn)  # as the kernel does when the supervisor dies
    assert await child.exited == 7
