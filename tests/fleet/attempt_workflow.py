"""A workflow that has an agent carry out one command, as the workflow of a job does."""

from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError
from temporalio.exceptions import TimeoutError as ActivityTimeout

with workflow.unsafe.imports_passed_through():
    from pavo.jobs import contracts as c


@workflow.defn(name="OneCommand", sandboxed=False)
class OneCommand:
    """Is told again and again on which queue the agent is, until the command has come to an end."""

    def __init__(self) -> None:
        self.queue = self.lost = ""
        self.connected = 0
        self.tries = 0

    @workflow.run
    async def run(self, request: c.RunCommand, queue: str) -> c.CommandOutcome:
        self.queue = queue
        while True:
            self.tries += 1
            asked = self.queue  # it may be told of the next one before it learns that this one is lost
            try:
                options: workflow.ActivityConfig = {**c.AGENT_COMMAND, "task_queue": asked}
                options["activity_id"] = f"command-{self.tries}"
                return await workflow.execute_activity_method(c.CommandActivities.run_agent_command, request, **options)
            except ActivityError as error:
                if not _is_lost(error):
                    raise
                self.lost = asked
                await workflow.wait_condition(lambda: self.queue != self.lost, timeout=timedelta(seconds=60))

    @workflow.signal
    def route(self, queue: str) -> None:
        self.queue = queue

    @workflow.signal
    def agent_connected(self) -> None:
        self.connected += 1

    @workflow.query
    def seen(self) -> tuple[int, int]:
        return self.connected, self.tries


def _is_lost(error: ActivityError) -> bool:
    cause = error.cause
    if isinstance(cause, ApplicationError):
        return cause.type == c.SESSION_LOST
    return isinstance(cause, ActivityTimeout)


@workflow.defn(name="Cancelling", sandboxed=False)
class Cancelling:
    """Has an agent end what it does for an attempt."""

    @workflow.run
    async def run(self, request: c.JobInput, queue: str) -> None:
        options: workflow.ActivityConfig = {**c.CANCEL_COMMAND, "task_queue": queue}
        await workflow.execute_activity_method(c.CommandActivities.cancel_agent_job, request, **options)


@workflow.defn(name="Pinging", sandboxed=False)
class Pinging:
    """Greets an agent."""

    @workflow.run
    async def run(self, request: c.Ping, queue: str) -> float:
        return await workflow.execute_activity_method(
            c.PingActivities.ping_agent,
            request,
            task_queue=queue,
            start_to_close_timeout=timedelta(seconds=10),
            schedule_to_start_timeout=timedelta(seconds=10),
        )
