"""The bare Temporal SDK, an activity per step."""

import asyncio
import sys
import time
from typing import ClassVar

from temporalio.client import Client

from bench.arms.base import Arm
from bench.arms.sdk_worker import QUEUE, Steps
from bench.arms.temporal_server import start_temporal


class Sdk(Arm):
    """One worker process beside a dev server tuned as Pavo's."""

    name: ClassVar[str] = "sdk"
    title: ClassVar[str] = "Temporal SDK, bare"
    client: Client
    _count = 0

    async def start(self) -> None:
        address = await start_temporal(self.group)
        self.client = await Client.connect(address)
        self.group.start([sys.executable, "-m", "bench.arms.sdk_worker", address], log="sdk-worker")
        await asyncio.wait_for(self.burst(2, 2), 60)

    async def burst(self, tasks: int, steps: int) -> None:
        await asyncio.gather(*(self._run(steps) for _ in range(tasks)))

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self._run(steps)
        return time.perf_counter() - start

    async def _run(self, steps: int) -> None:
        self._count += 1
        await self.client.execute_workflow(Steps.run, args=[steps, 0.0], id=f"bench-{self._count}", task_queue=QUEUE)
