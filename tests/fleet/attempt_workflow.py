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
            try:
                return await workflow.execute_activity(
                    c.CommandActivities.run_agent_command,
                    request,
                    result_type=c.CommandOutcome,
                    task_queue=self.queue,
                    activity_id=f"command-{self.tries}",
                    **c.AGENT_COMMAND,
                )
            except ActivityError as error:
                if not _is_lost(error):
                    raise
                self.lost = self.queue
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
