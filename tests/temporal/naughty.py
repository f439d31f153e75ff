"""Workflows that do what no workflow may; each must be refused by the sandbox."""

import random
import time
from typing import ClassVar

from temporalio import workflow


@workflow.defn
class Naughty:
    """Does one forbidden thing, or counts what other runs left in its class."""

    seen: ClassVar[list[str]] = []

    @workflow.run
    async def run(self, what: str) -> str:
        if what == "open":
            open("/etc/hostname").close()
        elif what == "time":
            time.time()
        elif what == "random":
            random.random()
        self.seen.append(what)
        return str(len(self.seen))
