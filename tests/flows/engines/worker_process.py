"""A process with a worker for runs, and tools that write down each call of theirs: to be killed by tests.

Run as: python -m tests.flows.engines.worker_process DATABASE TEMPORAL NAMESPACE QUEUE FILE
"""

import asyncio
import sys
from pathlib import Path

from temporalio.client import Client

from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.local.steps import LocalSteps
from pavo.kit.processes import ask_for_parents_end
from pavo.kit.sql import Database
from pavo.tools.builtin.web import WebReader
from pavo.tools.registry import ToolRegistry
from tests.flows.engines.workers import working
from tests.flows.local.counting import Counting

LONGEST = 100.0


async def main(url: str, target: str, namespace: str, queue: str, file: str) -> None:
    """Work until killed."""
    temporal = await Client.connect(target, namespace=namespace)
    steps = LocalSteps(ToolRegistry({}, Counting(Path(file))), ToolRegistry({}), WebReader((), ()))
    async with working(temporal, Database(url, pool_size=4), steps, Evaluator(), queue):
        await asyncio.sleep(LONGEST)


if __name__ == "__main__":
    ask_for_parents_end(9)
    asyncio.run(main(*sys.argv[1:]))
