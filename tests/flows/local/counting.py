"""A process with a local engine, and tools that write down each call of theirs: to be killed by tests.

Run as: python -m tests.flows.local.counting URL RUN FILE
"""

import asyncio
import os
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

from pavo.flows.expressions.evaluating import Evaluator
from pavo.flows.local.engine import LocalEngine
from pavo.flows.local.steps import LocalSteps
from pavo.kit.processes import ask_for_parents_end
from pavo.kit.sql import Database
from pavo.tools.builtin.web import WebReader
from pavo.tools.contract import ToolContext, tool
from pavo.tools.described import Tool, tool_of
from pavo.tools.registry import ToolRegistry

LEASE_SECONDS = 1.0


class Counting:
    """The tools `count.unsafe` and `count.safe`."""

    def __init__(self, file: Path) -> None:
        def called(step: str, context: ToolContext) -> dict[str, str]:
            """Write down that a step was done."""
            with file.open("a") as written:
                written.write(f"{step} {context.idempotency_key}\n")
                written.flush()
                os.fsync(written.fileno())
            time.sleep(0.03)
            return {"step": step}

        def safely(step: str, context: ToolContext) -> dict[str, str]:
            """Write down that a step was done; it may be repeated."""
            return called(step, context)

        safe = tool_of("count.safe", tool(effect="idempotent")(safely))
        self._tools = {"count.unsafe": tool_of("count.unsafe", called), "count.safe": safe}

    def settle(self) -> None:
        """They are there."""

    def all(self) -> Sequence[Tool]:
        return list(self._tools.values())

    def is_ready(self, name: str) -> bool:
        return True

    def find(self, name: str) -> Tool | None:
        return self._tools.get(name)


async def main(url: str, run: str, file: str) -> None:
    """Execute the run."""
    database, evaluator = Database(url, pool_size=4), Evaluator()
    steps = LocalSteps(ToolRegistry({}, Counting(Path(file))), ToolRegistry({}), WebReader((), ()))
    await LocalEngine(database, steps, evaluator, LEASE_SECONDS).run(uuid.UUID(run))
    evaluator.close()
    await database.close()


if __name__ == "__main__":
    ask_for_parents_end(9)
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 100))
