"""How the workflow of an attempt has commands carried out by its agent, wherever that is connected. Composed into it.

What fails on the way (a gateway that dies, a stream that breaks, nobody on the agent's queue) is no failure of the
command: the agent's queue is read anew, and the same command is sent again, as often as it takes. The agent knows it by
its id, and carries it out once. Workflow code.
"""

import contextlib
from datetime import timedelta
from typing import Any, Final

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    import pavo.jobs.attempt.contracts as a
    import pavo.jobs.contracts as c
    import pavo.jobs.domain as d
    from pavo.runs.story import Story, run_short_activity

LOOK_AGAIN: Final = timedelta(seconds=1)
"""Between two looks for an agent that is to end something: there are ten seconds for it."""

Pending = workflow.ActivityHandle[c.CommandOutcome]


class AgentLink:
    """What a workflow holds of its agent.

    Args:
        state: of the workflow; its attempt, command_id, sent and doubted are kept here.
        story: tells whether the workflow is to end, or to continue as new.
    """

    def __init__(self, job_id: str, epoch: int, state: c.JobState, story: Story) -> None:
        self._job = c.JobInput(job_id, epoch)
        self._state = state
        self._story = story
        self.connections = 0
        """How often the agent was said to have a session."""
        self.lost = False
        """The attempt does not hold the job any more."""
        self.stuck = False
        """Its lease is kept, but nothing came of it for too long."""
        self._pending: Pending | None = None
        """The command that was under way when the workflow was told to end."""

    @property
    def doubted(self) -> bool:
        """Somebody says that the lease ran out; that is looked up, in the next run where this one ends before."""
        return self._state.doubted

    @doubted.setter
    def doubted(self, doubted: bool) -> None:
        self._state.doubted = doubted

    def is_interrupted(self) -> bool:
        """Whether the workflow has something else to do than to wait for its agent."""
        return self._story.stopping or self.doubted or self.lost or self._story.is_due()

    async def look_whether_lost(self) -> None:
        """Where somebody says that the lease ran out: whether it has."""
        if self.doubted:
            self.doubted = False
            route = await self._route()
            self.stuck = route.stuck and not route.expired
            self.lost = self.lost or route.expired or route.stuck

    async def command(self, kind: str, round_: int) -> c.CommandOutcome | None:
        """Have a command carried out, and what its agent answers with an error that may pass asked for again.

        Returns:
            None: it is not over, and the workflow has something else to do first: end, or continue as new.
        """
        state = self._state
        while True:
            request = c.RunCommand(self._job.job_id, self._job.epoch, kind, round_, state.attempt)
            state.command_id = request.command_id
            outcome = await self._until_answered(request)
            if outcome is None:
                return None
            again = outcome.kind != c.OUTCOME_DONE and (outcome.retryable or outcome.kind == c.OUTCOME_CANCELLED)
            if not again or self.is_unable(outcome) or state.attempt + 1 >= c.MAX_AGENT_ERRORS:
                state.attempt = 0
                return outcome
            state.attempt += 1
            await self._pause(d.retry_delay(state.attempt))

    def is_unable(self, outcome: c.CommandOutcome) -> bool:
        """Whether the agent cannot do the job now: the attempt ends, and counts for nothing. Only as long as nothing
        was done that would be gone with it."""
        begins = self._state.phase in (d.PLAN_PHASE, d.EXECUTE_PHASE) and self._state.round == 0
        return begins and outcome.kind == c.OUTCOME_FAILED and outcome.retryable and outcome.error in c.UNABLE

    async def _until_answered(self, request: c.RunCommand) -> c.CommandOutcome | None:
        looks = 0
        while True:
            await self.look_whether_lost()
            if self.is_interrupted():
                return None
            seen = self.connections
            route = await self._route()
            if self.is_interrupted():
                continue
            if route.queue is not None:
                began = workflow.time()
                outcome = await self._send(request, route.queue)
                if outcome is not None:
                    return outcome
                if workflow.time() - began > c.REACH_SECONDS * 2:
                    looks = 0  # it was there for a while
            if self._pending is None and seen == self.connections:
                looks += 1
                await self._pause(d.connection_delay(looks), connections=seen)

    async def _send(self, request: c.RunCommand, queue: str) -> c.CommandOutcome | None:
        """One try on one session; None: it did not answer."""
        self._state.sent = True
        handle: Pending = workflow.start_activity_method(
            c.CommandActivities.run_agent_command, request, **self._config(request.kind, queue)
        )
        seen = self.connections
        while True:
            await self._until_changed(handle, seen)
            if handle.done():
                return await self._answer_of(handle)
            if self.doubted and not self._story.stopping:
                await self.look_whether_lost()
            elif self._story.stopping and not self.lost:
                self._pending = handle  # whoever ends the job wants to know what comes of it
                return None
            elif self.is_interrupted():
                return await _let_go(handle)
            else:
                seen = self.connections
                if (await self._route()).queue != queue and not handle.done():
                    return await _let_go(handle)  # nobody is on that queue any more: it goes where the agent is now

    async def _until_changed(self, handle: Pending, seen: int) -> None:
        await workflow.wait_condition(lambda: handle.done() or self.is_interrupted() or self.connections != seen)

    def _config(self, kind: str, queue: str) -> workflow.ActivityConfig:
        plan = self._state.plan
        seconds = plan.heartbeat_seconds.get(kind) if plan else None
        silence = c.HEARTBEAT if seconds is None else timedelta(seconds=seconds)
        return {**c.AGENT_COMMAND, "heartbeat_timeout": silence, "task_queue": queue}

    async def _answer_of(self, handle: Pending) -> c.CommandOutcome | None:
        """What came of a try; None: something on the way to the agent failed, or the agent was silent."""
        try:
            return await handle
        except ActivityError as error:
            cause = error.cause
            if isinstance(cause, ApplicationError) and cause.type == c.LEASE_LOST:
                self.lost = True
            workflow.logger.info("The command is sent anew: %s", cause or error)
            return None

    async def _route(self) -> c.Route:
        route = await run_short_activity(a.JobActivities.route, self._job)
        if not route.holds:
            self.lost = True
        elif route.cancel_asked:  # the signal may be on its way still
            self._story.stopping = True
        return route

    async def _pause(self, seconds: float, *, connections: int | None = None) -> None:
        """Wait, but no longer than until something is to be done, or the agent has connected."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self.is_interrupted() or (connections is not None and self.connections != connections),
                timeout=timedelta(seconds=seconds),
            )

    # The end of an attempt

    async def cancel(self) -> tuple[bool, c.CommandOutcome | None]:
        """Have the agent end what it does; whether it was told, and what came of the command that was under way."""
        pending, self._pending = self._pending, None
        reached = await self._reach(self._tell_to_cancel)
        if pending is None:
            return reached, None
        if reached:
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(pending.done, timeout=timedelta(seconds=c.KILL_SECONDS))
        return reached, await (self._answer_of(pending) if pending.done() else _let_go(pending))

    async def clean_up(self) -> bool:
        """Have the agent remove what the attempt left there; whether it has."""
        return await self._reach(self._tell_to_clean_up)

    async def _reach(self, tell: Any) -> bool:
        """Try to tell the agent something for ten seconds, wherever it is then."""
        until = workflow.time() + c.REACH_SECONDS
        while (left := until - workflow.time()) > 0:
            seen = self.connections
            route = await run_short_activity(a.JobActivities.route, self._job)
            if not route.holds:
                return False
            if route.queue is not None:
                try:
                    told: bool = await tell(route.queue, min(left, c.REACH_SECONDS))
                except ActivityError as error:
                    workflow.logger.info("The agent was not reached: %s", error.cause or error)
                else:
                    return told
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda seen=seen: self.connections != seen, timeout=LOOK_AGAIN)
        return False

    async def _tell_to_cancel(self, queue: str, seconds: float) -> bool:
        config: workflow.ActivityConfig = {
            **c.CANCEL_COMMAND,
            "task_queue": queue,
            "schedule_to_close_timeout": timedelta(seconds=seconds),
        }
        await workflow.execute_activity_method(c.CommandActivities.cancel_agent_job, self._job, **config)
        return True

    async def _tell_to_clean_up(self, queue: str, seconds: float) -> bool:
        request = c.RunCommand(self._job.job_id, self._job.epoch, c.CLEANUP)
        config: workflow.ActivityConfig = {
            **c.CLEANUP_COMMAND,
            "task_queue": queue,
            "schedule_to_close_timeout": timedelta(seconds=seconds),
        }
        done = await workflow.execute_activity_method(c.CommandActivities.run_agent_command, request, **config)
        return done.kind == c.OUTCOME_DONE


async def _let_go(handle: Pending) -> None:
    """Wait no more for a command; the agent works on."""
    handle.cancel()
    with contextlib.suppress(ActivityError):
        await handle
