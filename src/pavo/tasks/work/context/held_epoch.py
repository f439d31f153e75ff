"""Under which epoch what an agent asks for is recorded."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from pavo.errors import Unavailable


@dataclass(slots=True)
class HeldEpoch:
    """The epoch of the attempt that an agent works for: one that is parked goes on under another."""

    epoch: int
    followers: list[Callable[[int], Awaitable[None]]] = field(default_factory=list[Any])
    """Told when the agent goes on under another one."""

    async def move(self, epoch: int) -> None:
        """The agent goes on under this one."""
        self.epoch = epoch
        for follow in self.followers:
            await follow(epoch)


def attempt_is_over() -> Unavailable:
    """What is told to an agent whose attempt holds the task no more."""
    return Unavailable("The attempt is over: a newer one may have begun.", dependency="lease")
