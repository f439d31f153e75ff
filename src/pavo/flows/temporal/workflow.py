"""The durable story of one run under one epoch: has the ledger say what is in flight, and keeps an activity for each.

It decides nothing about the flow: what follows what is decided and written by `advance_flow`, in the ledger's own
transaction. So no version of the scheduler, and no edit of a flow, can break the replay of a history.
"""

import contextlib
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

# Not `from pavo.flows.temporal import …`: that form goes round the sandbox's import.
with workflow.unsafe.imports_passed_through():
    import pavo.flows.temporal.contracts as c
    from pavo.runs.story import SIGNAL_MOVE_ON, Story, run_short_activity


@workflow.defn(name=c.WORKFLOW_TYPE)
class FlowRun:
    """One run of a flow; under another epoch it is another workflow."""

    @workflow.init
    def __init__(self, request: c.FlowInput) -> None:
        self._run_id, self._epoch = request.run_id, request.epoch
        self._state = request.carry or c.FlowState()
        self._story = Story(request.epoch, self._state)
        self._doing: dict[str, workflow.ActivityHandle[None]] = {}
        self._told = False

    @workflow.run
    async def run(self, request: c.FlowInput) -> str:
        """Returns how the run ended; empty: it is not this workflow's any more."""
        while True:
            self._told, rests = False, self._story.is_due()
            standing = await run_short_activity(c.FlowTurns.advance_flow, self._advance(rests))
            await self._keep_doing(standing)
            if standing.outcome or not standing.holds:
                return standing.outcome
            if rests and not standing.doing:
                await self._story.continue_as_new(c.FlowInput(self._run_id, self._epoch, self._state))
            await self._wait(None if rests else standing.wakes_in, rests)

    @workflow.signal(name=c.SIGNAL_LOOK)
    def look(self) -> None:
        """Somebody has written of the run."""
        self._told = True

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """Continue as new, on the current version of the workers."""
        self._story.moving_on = True

    def _advance(self, rests: bool) -> c.Advance:
        return c.Advance(self._run_id, self._epoch, workflow.info().first_execution_run_id, rests)

    async def _keep_doing(self, standing: c.Standing) -> None:
        """An activity for each attempt in flight, and for no other."""
        wanted = {each.id: each for each in standing.doing}
        for name in [each for each, handle in self._doing.items() if each not in wanted or handle.done()]:
            handle = self._doing.pop(name)
            handle.cancel()
            with contextlib.suppress(ActivityError):  # what came of it is in the ledger
                await handle
        for name, doing in wanted.items():
            if name not in self._doing:
                request = c.DoStep(self._run_id, self._epoch, workflow.info().first_execution_run_id, doing)
                self._doing[name] = workflow.start_activity_method(c.FlowSteps.do_flow_step, request, **c.STEP)

    async def _wait(self, wakes_in: float | None, rests: bool) -> None:
        """Until an attempt has ended, something is due, or somebody has written of the run."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: self._told or self._is_any_done() or (not rests and self._story.is_due()),
                timeout=None if wakes_in is None else timedelta(seconds=wakes_in),
            )

    def _is_any_done(self) -> bool:
        return any(handle.done() for handle in self._doing.values())
