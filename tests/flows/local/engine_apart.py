"""A run whose engine is a process of its own, to be killed or stopped."""

import asyncio
import subprocess
import sys
import uuid
from collections import Counter
from pathlib import Path

import orjson

from pavo.flows.ledger.records import History
from pavo.flows.runs import RunService

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


class EngineApart:
    """Of one run; its steps note in a file that they are done."""

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
        try:
            await self.done(more, process)
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

    async def done(self, more: int, process: "subprocess.Popen[bytes]") -> None:
        """Wait until so many steps more are, or the process has ended."""
        wanted = self.calls().total() + more
        while process.poll() is None and self.calls().total() < wanted:
            await asyncio.sleep(0.005)
