"""What the second line of queues and its activity say to each other. The monitor's own are in `jobs.contracts`."""

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Final

from temporalio import activity, workflow
from temporalio.common import RetryPolicy

LINES_TYPE: Final = "LookAtQueues"

LINE: Final = workflow.ActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=30),
    start_to_close_timeout=timedelta(seconds=20),
    retry_policy=RetryPolicy(maximum_attempts=2),
)
"""The next round repeats whatever this one did not finish."""


class QueueLineActivities(ABC):
    """The second line of queues."""

    @activity.defn(name="look_at_queues")
    @abstractmethod
    async def look_at_queues(self) -> int:
        """Tell the monitors of queues that have something to give; how many. The line rests where there is nothing to
        give, or nobody to give it to."""
