"""The local engine is killed again and again in the middle of a flow: each step is done once, and counts once."""

import asyncio
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import orjson

from pavo.flows.definition.definition import Definition
from pavo.flows.ledger.changes import ResultKey
from pavo.flows.ledger.records import History
from pavo.flows.runs import RunService
from pavo.kit.sql import Database

STEPS = 50
PATIENCE = 100


def a_flow() -> bytes:
    """Chains beside each other; every third step is safe, and some come together."""
    steps = {}
    for number in range(STEPS):
        name = f"s{number}"
        needs = [f"s{number - 4}"] if number >= 4 else []
        if number % 10 == 9:
            needs = sorted({*needs, f"s{number - 1}"})
        kind = "count.safe@1" if number % 3 == 0 else "count.unsafe@1"
        steps[name] = {"tool": kind, "needs": needs, "with": {"step": name}}
    return orjson.dumps({"flow": "killed", "limits": {"in_flight": 4}, "steps": steps})


class Killed:
    """A run whose engine is killed whenever so many steps more were done."""

    def __init__(self, service: RunService, url: str, organisation: uuid.UUID, run: uuid.UUID, file: Path) -> None:
        self.service, self.url, self.organisation, self.run, self.file = service, url, organisation, run, file
        self.asked = 0
        file.touch()

    def start(self) -> "subprocess.Popen[bytes]":
        words = [sys.executable, "-m", "tests.flows.local.counting", self.url, str(self.run), str(self.file)]
        return subprocess.Popen(words, cwd=Path(__file__).parents[3])

    def calls(self) -> Counter[str]:
        return Counter(line.split()[0] for line in self.file.read_text().splitlines())

    async def history(self) -> History:
        return await self.service.history(self.organisation, self.run)

    async def kill_after(self, process: "subprocess.Popen[bytes]", more: int) -> None:
        wanted = self.calls().total() + more
        try:
            while process.poll() is None and self.calls().total() < wanted:
                await asyncio.sleep(0.005)
        finally:
            process.kill()
            process.wait(10)

    async def answer(self, who: uuid.UUID) -> None:
        """What people see in the world: it happened or did not."""
        for key, result in (await self.history()).results.items():
            if result.state != "unknown":
                continue
            self.asked += 1
            happened = self.calls()[key.step] > 0
            said = "succeeded" if happened else "again"
            await self.service.answer(self.organisation, self.run, key, said, {"step": key.step}, who)


async def test_each_step_is_done_once_however_often_the_engine_is_killed(
    database: Database,
    environment: dict[str, str],
    organisation: uuid.UUID,
    define: Callable[..., Definition],
    tmp_path: Path,
) -> None:
    service = RunService(database)
    run = await service.begin(organisation, define(a_flow()), {})
    killed = Killed(service, environment["DATABASE_URL"], organisation, run, tmp_path / "calls")
    async with asyncio.timeout(PATIENCE):
        for more in (1, 7, 9):
            await killed.kill_after(killed.start(), more)
            await killed.answer(uuid.uuid4())
        while not (history := await killed.history()).run.is_over:
            process = killed.start()
            assert await asyncio.to_thread(process.wait, PATIENCE) == 0
            await killed.answer(uuid.uuid4())
    assert history.run.state == "succeeded", history.run.error
    assert {key.step for key in history.results} == {f"s{number}" for number in range(STEPS)}
    assert all(each.output == {"step": key.step} for key, each in history.results.items())
    assert killed.asked > 0, "no unsafe step was in flight at any kill"
    calls = killed.calls()
    for number in range(STEPS):
        done = calls[f"s{number}"]
        assert done >= 1 if number % 3 == 0 else done == 1, (number, done)
    keys = {line.split()[1] for line in killed.file.read_text().splitlines()}
    assert keys == {ResultKey(f"s{number}").idempotency_key(run) for number in range(STEPS)}
