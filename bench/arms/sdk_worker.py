"""The bare SDK: a workflow that runs one activity per step, and its worker."""

import asyncio
import sys
from datetime import timedelta

import uvloop
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

QUEUE = "bench"


@activity.defn
async def step(number: int, seconds: float) -> int:
    """An empty step, or one that takes so long."""
    if seconds:
        await asyncio.sleep(seconds)
    return number


@workflow.defn
class Steps:
    """A task of the bare SDK."""

    def __init__(self) -> None:
        self._done = 0

    @workflow.run
    async def run(self, steps: int, seconds: float = 0.0) -> int:
        """Do the steps, one after the other."""
        for number in range(steps):
            await workflow.execute_activity(step, args=[number, seconds], start_to_close_timeout=timedelta(seconds=10))
            self._done = number + 1
        return steps


async def main(address: str) -> None:
    """Work until killed. Without the workflow sandbox: the faster way to run this SDK."""
    client = await Client.connect(address)
    worker = Worker(
        client,
        task_queue=QUEUE,
        workflows=[Steps],
        activities=[step],
        max_concurrent_activities=100,
        max_concurrent_workflow_tasks=100,
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    await worker.run()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
