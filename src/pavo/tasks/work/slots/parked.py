"""Agents whose turn is over, between two steps: kept open for a while, so that the next attempt here goes on with them.

Only a saving. An attempt takes an agent over where PostgreSQL says exactly what it said when the agent was parked;
otherwise the agent is closed, and `execute` begins from the checkpoint as everywhere else.
"""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from pavo.agents.hosts.agent_host import AgentHost
from pavo.errors import Unavailable
from pavo.kit.json_values import fingerprint
from pavo.tasks.sql.lease import Lease
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.slots.turns import Turns

logger = logging.getLogger(__name__)

LOOK_SECONDS: Final = 2.0
"""Between two looks whether somebody else has got on with what is parked here: so long it may outlive a stop."""

Epochs = Callable[[Collection[uuid.UUID]], Awaitable[Mapping[uuid.UUID, int]]]
"""The epochs of tasks as they are recorded; those that are gone are left out."""


@dataclass(frozen=True, slots=True)
class ParkedAgent:
    """An agent between two steps."""

    host: AgentHost
    cancelled: asyncio.Event
    """Of its context: the attempt that takes it over sets the same."""
    held: HeldEpoch
    """Of the tools that it calls, likewise."""
    generation: int
    plan_hash: str
    epoch: int
    """Of the attempt that parked it."""
    step: int
    """How many steps it had recorded."""
    checkpoint: str
    """Fingerprint of the last one's."""

    def fits(self, lease: Lease, generation: int, plan_hash: str) -> bool:
        """Whether nothing has happened to the task but that this lease was opened."""
        return (
            self.host.is_open()
            and not self.cancelled.is_set()
            and (self.generation, self.plan_hash) == (generation, plan_hash)
            and (self.epoch + 1, self.step) == (lease.epoch, lease.step)
            and self.checkpoint == fingerprint(lease.checkpoint)
        )


class ParkedAgents:
    """Those of one worker. Belongs to the agents' event loop.

    Args:
        size: as many at once; the oldest is closed first.
        under_way: whether an attempt at a task is, which has opened its lease or is about to, and then takes over what
            is parked. Until it has, the agent only looks as if somebody else had got on with its task.
    """

    def __init__(self, size: int, epochs: Epochs, under_way: Callable[[uuid.UUID], bool]) -> None:
        self._size = size
        self._epochs = epochs
        self._under_way = under_way
        self._parked: dict[uuid.UUID, ParkedAgent] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def park(self, task_id: uuid.UUID, agent: ParkedAgent) -> None:
        """Keep an agent; the attempt that ran it has given its lease back."""
        self._drop(task_id)
        self._parked[task_id] = agent
        while len(self._parked) > self._size:
            self._drop(next(iter(self._parked)))

    async def take(self, lease: Lease, generation: int, plan_hash: str) -> ParkedAgent | None:
        """The task's agent, if it fits this lease. Another one is closed first: the two may want the same things."""
        agent = self._parked.pop(lease.task_id, None)
        if agent is None or agent.fits(lease, generation, plan_hash):
            return agent
        await agent.host.close()
        return None

    async def watch(self) -> None:
        """Close those whose tasks were stopped, deleted or taken on elsewhere; until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if not self._parked:
                continue
            looked_at = dict(self._parked)
            try:
                epochs = await self._epochs(list(looked_at))
            except Unavailable as error:
                logger.info("Whether parked agents are still of use cannot be told: %s", error)
                continue
            except Exception:
                # Logged and not raised: without this loop they would stay open until the worker ends.
                logger.exception("Whether parked agents are still of use cannot be told")
                continue
            for task_id, agent in looked_at.items():
                # What was parked since, by a later attempt, is another one than was looked at.
                if self._parked.get(task_id) is not agent or self._under_way(task_id):
                    continue
                if epochs.get(task_id) != agent.epoch or not agent.host.is_open():
                    self._drop(task_id)

    async def close(self) -> None:
        """Close all, in the order in which they were parked."""
        for task_id in list(self._parked):
            self._drop(task_id)
        if self._closing:
            await asyncio.wait(self._closing)

    def _drop(self, task_id: uuid.UUID) -> None:
        if (agent := self._parked.pop(task_id, None)) is not None:
            closing = asyncio.create_task(agent.host.close(), name=f"close the parked agent of task {task_id}")
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


@dataclass(frozen=True, slots=True)
class Slots:
    """Of one worker."""

    turns: Turns
    parked: ParkedAgents
    """Agents that gave theirs up."""
