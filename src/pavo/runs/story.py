"""What workflows compose of: a workflow holds one `Story` and keeps its own rules.

Workflow code: nothing here may import more than the standard library and Temporal's SDK.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, Final, Protocol, TypeVar

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import CancelledError, FailureError

with workflow.unsafe.imports_passed_through():
    from pavo.runs.fence import Fence

Request = TypeVar("Request")
Result = TypeVar("Result")

MAX_HISTORY_EVENTS: Final = 1_500
"""Continue as new beyond this: well under the promised 2,000 with an attempt's end and some commands to come."""

SIGNAL_MOVE_ON: Final = "move_on"
"""Every kind's workflow takes it: continue as new at the next opportunity, on the current version of the workers."""

INFRASTRUCTURE: Final = RetryPolicy(
    initial_interval=timedelta(milliseconds=50), backoff_coefficient=2.0, maximum_interval=timedelta(seconds=5)
)
"""Without limit: time-outs count as attempts, and healthy work must not fail because workers died often."""

DATABASE_WRITE: Final = workflow.LocalActivityConfig(
    schedule_to_close_timeout=timedelta(seconds=10),
    retry_policy=INFRASTRUCTURE,
    local_retry_threshold=timedelta(seconds=10),
)
"""One short, fenced transaction: repeating it changes nothing, so it may run inside the workflow task."""

PATIENT_WRITE: Final = workflow.ActivityConfig(
    schedule_to_close_timeout=timedelta(days=3650),
    start_to_close_timeout=timedelta(seconds=30),
    retry_policy=INFRASTRUCTURE,
)
"""The same once that did not succeed: PostgreSQL is away, or somebody locks the tables."""

HEARTBEAT_SECONDS: Final = 0.4
"""Of long activities. Shorter ones cost more than a core with 100 attempts; `HEARTBEAT_TIMEOUT` forgives two."""
HEARTBEAT_TIMEOUT: Final = timedelta(seconds=1.0)

TASK_TIMEOUT: Final = timedelta(seconds=2)
"""Of a workflow task: how soon another worker takes over what a dead one was deciding."""

QUICK_TASK_TIMEOUT: Final = timedelta(seconds=1)
"""The same where a workflow task carries out work: then it decides how soon that goes on after a death."""


def short_queue(task_queue: str) -> str:
    """The task queue of the short activities, which have slots of their own and never wait behind long ones."""
    return f"{task_queue}-short"


def in_short_slots(config: workflow.ActivityConfig) -> workflow.ActivityConfig:
    """The same activity, on the queue of the short ones."""
    return {**config, "task_queue": short_queue(workflow.info().task_queue)}


def plan_queue(task_queue: str) -> str:
    """The task queue of the activities that plan, which have slots of their own: they wait for no execution, and no
    execution for them."""
    return f"{task_queue}-plans"


def in_plan_slots(config: workflow.ActivityConfig) -> workflow.ActivityConfig:
    """The same activity, on the queue of those that plan."""
    return {**config, "task_queue": plan_queue(workflow.info().task_queue)}


async def run_short_activity(method: Callable[[Any, Request], Awaitable[Result]], request: Request) -> Result:
    """Run an activity that is one short write: inside the workflow task, which is quick (a local activity); where the
    database keeps that waiting, outside.

    A workflow task that waits grows its history by some two events a second, an activity that is tried again does
    not. Both may happen, even at once: the fence lets one of them write.

    Args:
        method: of the abstract class that declares the activity.
    """
    try:
        return await workflow.execute_local_activity_method(method, request, **DATABASE_WRITE)
    except FailureError as error:  # an ActivityError; when a time-out is replayed, the time-out itself
        if isinstance(error.cause or error, CancelledError):
            raise
        return await workflow.execute_activity_method(method, request, **in_short_slots(PATIENT_WRITE))


class Counted(Protocol):
    """What a run hands to its successor; of whatever else it consists, it holds the number of the last write."""

    transition: int


class Story:
    """What a run needs beside the rules of its kind.

    Args:
        generation: of this run.
        state: counts the writes; the workflow carries it through continue-as-new.
    """

    def __init__(self, generation: int, state: Counted) -> None:
        self.generation = generation
        self._state = state
        self.stopping = False
        """Somebody wants the run to end; the workflow records that."""
        self.moving_on = False
        """Somebody wants it to continue as new."""
        self.in_order = asyncio.Lock()
        """For handlers that write: one after the other, each judging what the one before has left."""

    def fence(self, writes: int = 1) -> Fence:
        """The number of the next write. Where one activity makes several, the first of them; the rest are reserved."""
        self._state.transition += 1
        first = Fence(workflow.info().run_id, self.generation, self._state.transition)
        self._state.transition += writes - 1
        return first

    def is_due(self) -> bool:
        """Whether to continue as new: the history is full, or the workers have a newer version."""
        info = workflow.info()
        full = info.is_continue_as_new_suggested() or info.get_current_history_length() > MAX_HISTORY_EVENTS
        # A run stays with the version of the workers that it began on; the next one begins on the current version.
        return full or self.moving_on or info.is_target_worker_deployment_version_changed()

    async def continue_as_new(self, request: object) -> None:
        """Hand over to a new run, unless a stop comes while the handlers end.

        Args:
            request: the workflow's argument, with the state in it.
        """
        # A stop's handler waits for the stop, which the workflow's own loop records: so a stop ends the wait as well.
        await workflow.wait_condition(lambda: self.stopping or workflow.all_handlers_finished())
        if self.stopping:
            return
        workflow.continue_as_new(
            request,
            # By default a pinned run hands its old version on to its successor.
            initial_versioning_behavior=workflow.ContinueAsNewVersioningBehavior.AUTO_UPGRADE,
        )
