"""What the bench asks of every system."""

import abc
import asyncio
import time
from collections.abc import Mapping
from typing import ClassVar

from bench.proc import Group, Usage


class Arm(abc.ABC):
    """One system in one round: its own fresh processes and data."""

    name: ClassVar[str]
    """Key in the JSON."""
    title: ClassVar[str]
    """What the table says."""

    def __init__(self, group: Group) -> None:
        self.group = group

    @abc.abstractmethod
    async def start(self) -> None:
        """Start the processes and wait until they work."""

    @abc.abstractmethod
    async def burst(self, tasks: int, steps: int) -> None:
        """Run so many tasks of empty steps at once; return when the last is done."""

    @abc.abstractmethod
    async def one(self, steps: int) -> float:
        """Run one task; answer its seconds from asking to done."""

    async def stop(self) -> None:
        """Close the driver's own connections; the processes are the group's."""
        await asyncio.sleep(0)

    def parts(self) -> Mapping[str, int]:
        """The process of each part that is metered by itself as well; none where a system is one thing."""
        return {}

    def usage(self) -> Usage:
        """CPU and memory of server, worker and stores, without the driver."""
        return self.group.usage()


async def timed(work: "asyncio.Future[None] | asyncio.Task[None]") -> float:
    """Seconds that something takes."""
    start = time.perf_counter()
    await work
    return time.perf_counter() - start
