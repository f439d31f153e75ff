"""What a ping's workflow and its activities say to each other. The ping itself is in `jobs.contracts`."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

PING: Final = workflow.ActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=5),
    retry_policy=RetryPolicy(maximum_attempts=1),
    cancellation_type=workflow.ActivityCancellationType.ABANDON,
)
"""A ping on the queue of an agent's session: who is not there, or does not answer within five seconds, has failed."""
HEALTH_WRITE: Final = workflow.LocalActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=10), local_retry_threshold=timedelta(seconds=10)
)
"""Of a ping's workflow; the next ping is fifteen seconds away, and no write waits longer than that."""


def on_queue(queue: str) -> workflow.ActivityConfig:
    """A ping on the queue of a session."""
    return {**PING, "task_queue": queue}


@dataclass(frozen=True, slots=True)
class PingTarget:
    """Where a ping goes."""

    online: bool
    """False: nobody is pinged, and the pings rest."""
    session: int = 0
    queue: str | None = None
    """None: it counts as online and has no stream, which is a failure like any other."""


@dataclass(frozen=True, slots=True)
class PingRecorded:
    """What a ping told."""

    agent_id: str
    session: int
    failed: bool
    key: str = ""
    """Of the ping: told again at once, it counts once. Empty: it has none."""


class HealthActivities(ABC):
    """Short writes of the agents' health."""

    @activity.defn(name="look_at_agent")
    @abstractmethod
    async def look_at_agent(self, agent_id: str) -> PingTarget:
        """Where this agent is to be pinged."""

    @activity.defn(name="record_agent_ping")
    @abstractmethod
    async def record_ping(self, request: PingRecorded) -> bool:
        """Whether the agent counts as online; three failures in a row mean that it does not."""

    @activity.defn(name="rest_agent_pings")
    @abstractmethod
    async def rest_pings(self, agent_id: str) -> None:
        """The agent is offline: pause its pings, and the second line of its queue where no agent is left."""
