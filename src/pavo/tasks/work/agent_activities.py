"""The activities that run agents: each holds a place, and what else of the worker it takes, while its attempt lasts."""

import contextlib

from temporalio import activity

from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks.work.attempt_runner import AttemptRunner, ended_in_order
from pavo.tasks.work.execution import BatchExecutor
from pavo.tasks.work.interruption import Cut, Interruption
from pavo.tasks.work.planning import Planner
from pavo.tasks.work.slots.places import Places
from pavo.tasks.work.slots.turns import Turns


class PlanWork(c.PlanActivities):
    """Plans and revises what people review: beside what is executed, in places of its own."""

    def __init__(self, runner: AttemptRunner, places: Places, planner: Planner) -> None:
        self._runner = runner
        self._places = places
        self._planner = planner

    @activity.defn(name="make_plan")
    async def make_plan(self, request: c.MakePlan) -> c.PlanMade:
        """Gather context if the agent wants it, let it plan or revise, and store the draft."""
        planned = await self._runner.run(
            request.task_id, self._places, lambda interruption: self._planner.plan(request, interruption)
        )
        return planned.made


class AgentWork(c.AgentActivities):
    """Executes tasks. What policy accepts is planned in its task's place too: to plan it sooner would serve nobody."""

    def __init__(
        self, runner: AttemptRunner, turns: Turns, places: Places, planner: Planner, executor: BatchExecutor
    ) -> None:
        self._runner = runner
        self._turns = turns
        self._places = places
        self._planner = planner
        self._executor = executor

    @activity.defn(name="execute_batch")
    async def execute_batch(self, request: c.ExecuteBatch) -> c.BatchDone:
        """Open a lease and record steps until the agent is done, somebody stops it, or it is asked to end."""
        ended = ended_in_order()
        with self._turns.take():
            return await self._runner.run(
                request.task_id,
                self._places,
                lambda interruption: self._executor.run(request, interruption, ended=ended),
            )

    @activity.defn(name="carry_out")
    async def carry_out(self, request: c.MakePlan) -> c.CarriedOut:
        """Plan as `make_plan` does, and where policy accepts the plan make the first attempt at once."""
        ended, stretch = ended_in_order(), request.stretch_seconds
        # A stretch inside a workflow task has no slot of an activity.
        with self._turns.take() if stretch is None else contextlib.nullcontext():
            return await self._runner.run(
                request.task_id,
                self._places,
                lambda interruption: self._carry_out(request, interruption, ended),
                stretch,
            )

    async def _carry_out(self, request: c.MakePlan, interruption: Interruption, ended: bool) -> c.CarriedOut | Cut:
        planned = await self._planner.plan(request, interruption)
        if isinstance(planned, Cut):
            return planned
        if not planned.made.accepted:
            return c.CarriedOut(planned.made)
        assert planned.made.plan_hash is not None
        done = d.done_after(request.fence)
        execute = c.ExecuteBatch(request.task_id, done, planned.made.plan_hash)
        batch = await self._executor.run(execute, interruption, planned.opened, ended=ended)
        return c.CarriedOut(planned.made, batch)
