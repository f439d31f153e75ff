"""The durable story of a task: plan, review, execute, report; stop at any point, go on where it was.

The workflow decides; its activities write what people read. It holds ids and numbers only.
"""

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ApplicationError, CancelledError, FailureError

# Not `from pavo.tasks import …`: that form goes round the sandbox's import and executes the modules for every run.
with workflow.unsafe.imports_passed_through():
    import pavo.tasks.contracts as c
    import pavo.tasks.domain as d
    from pavo.runs.fence import Fence
    from pavo.runs.story import SIGNAL_MOVE_ON, Story, in_plan_slots, run_short_activity
    from pavo.tasks.waits.story import end_with_family

Done = TypeVar("Done")
AnswerActivity = Callable[[Any, c.RecordAnswer], Awaitable[c.Answer]]
"""One that records an answer to a plan: `record_acceptance` or `record_review`."""


@workflow.defn(name=c.WORKFLOW_TYPE)
class AgentTask:
    """One run of a task; a stopped task is resumed by a new run with the next generation."""

    @workflow.init
    def __init__(self, request: c.TaskInput) -> None:
        self._task_id = request.task_id
        self._auto_accept = request.auto_accept
        self._quick = request.quick and request.carry is None
        self._state = request.carry or c.RunState()
        self._story = Story(request.generation, self._state)
        self._standing_known = not request.resume or request.carry is not None
        self._review_open = request.carry is not None
        # What a quick run's first stretch writes happens before any workflow task is recorded: should that be carried
        # out anew, with a stop that came meanwhile, the stop's number is above all of these.
        self._first = self._story.fence(writes=d.PLAN_WRITES) if self._quick else None
        self._over, self._child = False, request.child
        self._receipt: d.Receipt | None = None
        self._failure: c.AgentFailure | None = None
        self._working: workflow.ActivityHandle[Any] | None = None
        self._closed = set[str]()
        """Gates that were closed, and delegated tasks that ended, since the last attempt began."""

    @workflow.run
    async def run(self, request: c.TaskInput) -> str:
        """Returns the stage in which the run ended."""
        if not self._standing_known:
            await self._begin()
        while not self._over:
            if self._story.stopping:
                await self._record_stop(step_cut=False)
            elif self._story.is_due():
                await self._continue_as_new()
            elif self._state.phase in (d.PHASE_PLANNING, d.PHASE_REVISING):
                await self._plan()
            elif self._state.phase == d.PHASE_REVIEW:
                await self._await_review()
            else:
                await (self._await_answer() if self._state.gates else self._execute())
        await end_with_family(self._task_id, has_family=self._child or self._state.delegated)
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._failure:
            # What the agent said stands in the task's row: a failure's message would be in the history in clear.
            raise ApplicationError("The task failed; its row says why.", type=self._failure.type, non_retryable=True)
        return self._receipt.stage if self._receipt else d.DONE

    # The stages

    async def _begin(self) -> None:
        request = c.BeginRun(self._task_id, self._fence())
        standing = await run_short_activity(c.RecordActivities.begin_run, request)
        state = self._state
        state.phase, state.plan_hash, state.steps = standing.phase, standing.plan_hash, standing.steps
        self._over = standing.phase == d.PHASE_OVER
        self._review_open = standing.phase == d.PHASE_REVIEW
        self._standing_known = True

    async def _plan(self) -> None:
        # Where policy accepts the plan, the activity itself writes the acceptance, and DONE.
        fence = self._first or self._story.fence(writes=d.PLAN_WRITES if self._auto_accept else 1)
        self._first = None
        request = c.MakePlan(self._task_id, fence, self._auto_accept, self._state.failures)
        batch: c.BatchDone | None = None
        if self._auto_accept:
            carried = await self._carry_out(request, d.done_after(fence))
            made, batch = (carried.plan, carried.batch) if carried else (None, None)
        else:
            slots = in_plan_slots(c.AGENT_WORK)
            made = await self._work(workflow.start_activity_method(c.PlanActivities.make_plan, request, **slots))
        if made is None:
            return
        if made.failure:
            await self._fail_or_wait(made.failure)
            return
        self._state.failures, self._state.plan_hash = 0, made.plan_hash
        if made.accepted:
            self._state.phase = d.PHASE_EXECUTING
            if batch:
                await self._settle(batch)
            return
        await self._open_review(made)

    async def _carry_out(self, request: c.MakePlan, done: Fence) -> c.CarriedOut | None:
        if self._quick and not self._story.stopping:
            self._quick = False
            stretch = replace(request, stretch_seconds=c.STRETCH_SECONDS)
            local = workflow.start_local_activity_method(c.AgentActivities.carry_out, stretch, **c.QUICK_STRETCH)
            try:
                return await self._work(local, done)
            except FailureError as error:
                # No such agent on this worker, no database, a shutdown: the same work, which finds what is recorded.
                workflow.logger.info("The first stretch goes on as an activity of its own: %s", error.cause or error)
        work = workflow.start_activity_method(c.AgentActivities.carry_out, request, **c.AGENT_WORK)
        return await self._work(work, done)

    async def _open_review(self, made: c.PlanMade) -> None:
        assert made.plan_hash is not None
        self._state.phase, self._review_open = d.PHASE_REVIEW, False
        # Handlers can take the answer from here on, so the plan may be shown.
        request = c.OpenReview(self._task_id, self._fence(), made.plan_hash)
        await run_short_activity(c.RecordActivities.open_review, request)
        self._review_open = True

    async def _await_review(self) -> None:
        story, state = self._story, self._state
        await workflow.wait_condition(lambda: story.stopping or state.phase != d.PHASE_REVIEW or story.is_due())

    async def _await_answer(self) -> None:
        """One answer is enough to go on: the agent asks again for what is open."""
        state, story = self._state, self._story
        limit = None if state.wake_at is None else timedelta(seconds=max(1.0, state.wake_at - workflow.time()))
        try:
            await workflow.wait_condition(lambda: story.stopping or story.is_due() or not state.gates, timeout=limit)
        except TimeoutError:
            request = c.ExpireGates(self._task_id, list(state.gates))
            expired = await run_short_activity(c.RecordActivities.expire_gates, request)
            state.wake_at = expired.wake_at
            self._note_closed(*expired.closed)

    def _note_closed(self, *gates: str) -> None:
        """In the state at once: a run that continues as new hands that on, and nothing else."""
        self._closed.update(gates)
        if not self._closed.isdisjoint(self._state.gates):
            self._state.gates, self._state.wake_at = [], None

    async def _execute(self) -> None:
        state = self._state
        self._closed.clear()
        assert state.plan_hash is not None
        done = self._fence()
        request = c.ExecuteBatch(self._task_id, done, state.plan_hash, state.failures, state.failed_step)
        batch = await self._work(
            workflow.start_activity_method(c.AgentActivities.execute_batch, request, **c.AGENT_WORK), done
        )
        if batch:
            await self._settle(batch)

    async def _settle(self, batch: c.BatchDone) -> None:
        state = self._state
        if batch.steps != state.steps:
            state.failures = 0
        state.steps = batch.steps
        if batch.outcome == c.WAITS:
            state.gates, state.wake_at = batch.gates, batch.wake_at
            if batch.delegated:
                state.delegated = True
                await run_short_activity(c.FamilyActivities.begin_children, c.BeginChildren(self._task_id))
            self._note_closed()  # one may have been closed before the attempt's end was known here
        elif batch.outcome == c.FINISHED:
            state.phase, self._over = d.PHASE_OVER, True
        elif batch.outcome in (c.ERROR, c.FATAL):
            assert batch.failure is not None
            state.failures, state.failed_step = batch.failures - 1, batch.steps
            await self._fail_or_wait(batch.failure)
        elif self._story.stopping or (batch.outcome == c.INTERRUPTED and await self._stop_follows()):
            await self._record_stop(step_cut=batch.step_cut)

    async def _stop_follows(self) -> bool:
        """A hint ended the batch before the stop itself got here: without waiting, one more step would start."""
        with contextlib.suppress(TimeoutError):
            await workflow.wait_condition(lambda: self._story.stopping, timeout=c.HINT_LEAD)
        return self._story.stopping

    async def _work(self, handle: workflow.ActivityHandle[Done], done: Fence | None = None) -> Done | None:
        """Wait for the agent's work. None when a stop ended it without an answer: then the stop is recorded.

        Args:
            done: names the attempt, where the work is one that may take days; planning is waited for.
        """
        self._working = handle
        try:
            if done is not None:
                await self._until_done_or_due(handle, done)
            return await handle
        except FailureError as error:  # an ActivityError; of a local activity also what caused it, as it is
            if not self._story.stopping:
                raise
            # Cancelled before it began, or between two attempts: no step was in flight.
            await self._record_stop(step_cut=not isinstance(error.cause or error, CancelledError))
            return None
        finally:
            self._working = None

    async def _until_done_or_due(self, handle: workflow.ActivityHandle[Any], done: Fence) -> None:
        """Where the run is to continue as new, ask the attempt to end at its next step boundary."""
        await workflow.wait_condition(lambda: handle.done() or self._story.is_due())
        if not handle.done() and not self._story.stopping and workflow.patched(c.PATCH_ASK_TO_MOVE):
            await run_short_activity(c.RecordActivities.ask_to_move, c.AskToMove(self._task_id, done))

    async def _fail_or_wait(self, failure: c.AgentFailure) -> None:
        self._state.failures += 1
        if failure.retryable and self._state.failures < d.MAX_STEP_ATTEMPTS:
            delay = timedelta(seconds=d.retry_delay(self._state.failures))
            with contextlib.suppress(TimeoutError):
                await workflow.wait_condition(lambda: self._story.stopping, timeout=delay)
            return
        if self._story.stopping:
            return
        request = c.RecordFailure(self._task_id, self._fence(), failure, self._state.steps)
        await run_short_activity(c.RecordActivities.record_failure, request)
        self._failure = failure
        self._over = True

    async def _record_stop(self, *, step_cut: bool) -> None:
        async with self._story.in_order:  # an answer that is being recorded counts before the stop
            request = c.RecordStop(self._task_id, self._fence(), step_cut)
            self._receipt = await run_short_activity(c.RecordActivities.record_stop, request)
            self._over = True

    async def _continue_as_new(self) -> None:
        story = self._story
        await story.continue_as_new(
            c.TaskInput(
                self._task_id, story.generation, self._auto_accept, resume=True, carry=self._state, child=self._child
            )
        )

    @property
    def _opening(self) -> bool:
        """Nobody can answer yet: the run does not know where it stands, or the review is being shown."""
        return not self._standing_known or (self._state.phase == d.PHASE_REVIEW and not self._review_open)

    def _fence(self) -> Fence:
        return self._story.fence()

    # What people say

    @workflow.update(name=c.UPDATE_ACCEPT_PLAN)
    async def accept_plan(self, answer: c.AcceptPlan) -> c.Answer:
        """Accept the plan that is under review. Answers once the acceptance is recorded."""
        return await self._answer(answer, c.RecordActivities.record_acceptance)

    @accept_plan.validator
    def check_accept_plan(self, answer: c.AcceptPlan) -> None:
        """Refuse what can be seen to be wrong before anything is written."""
        self._check_answer(answer)

    @workflow.update(name=c.UPDATE_DONE_REVIEWING)
    async def done_reviewing(self, answer: c.AcceptPlan) -> c.Answer:
        """The review is over: revise if there is feedback, else accept."""
        return await self._answer(answer, c.RecordActivities.record_review)

    @done_reviewing.validator
    def check_done_reviewing(self, answer: c.AcceptPlan) -> None:
        """Refuse what can be seen to be wrong before anything is written."""
        self._check_answer(answer)

    def _check_answer(self, answer: c.AcceptPlan) -> None:
        state, stopping = self._state, self._story.stopping
        known = answer.plan_hash is None or answer.plan_hash == state.plan_hash
        if self._standing_known and state.phase == d.PHASE_EXECUTING and known and not stopping:
            return  # the same answer once more
        if self._standing_known and (state.phase != d.PHASE_REVIEW or stopping or self._over):
            raise ApplicationError("No plan is waiting for an answer.", type=c.REFUSED_WRONG_STAGE, non_retryable=True)
        if self._standing_known and not known:
            raise ApplicationError(
                "Another version of the plan is current.",
                state.plan_hash,
                type=c.REFUSED_WRONG_HASH,
                non_retryable=True,
            )

    async def _answer(self, answer: c.AcceptPlan, record: AnswerActivity) -> c.Answer:
        await workflow.wait_condition(lambda: not self._opening or self._story.stopping or self._over)
        async with self._story.in_order:
            self._check_answer(answer)
            current = self._state.plan_hash
            assert current is not None
            if self._state.phase == d.PHASE_EXECUTING:
                return c.Answer(c.ACCEPTED, current_hash=current)
            plan_hash, who = answer.plan_hash or current, (answer.by, answer.user_id)
            request = c.RecordAnswer(self._task_id, self._fence(), plan_hash, *who, override=answer.override)
            done = await run_short_activity(record, request)
            if done.outcome == c.REFUSED:
                raise ApplicationError(done.detail, done.current_hash, type=done.refusal, non_retryable=True)
            self._state.phase = d.PHASE_EXECUTING if done.outcome == c.ACCEPTED else d.PHASE_REVISING
            return done

    @workflow.update(name=c.UPDATE_ANSWER_GATE)
    async def answer_gate(self, answer: c.AnswerGate) -> bool:
        """Close a gate. Answers once that is recorded: whether by this answer, or by another before it."""
        async with self._story.in_order:
            self.check_answer_gate(answer)
            request = c.RecordGate(self._task_id, answer.gate_id, answer.answer_id)
            taken = await run_short_activity(c.RecordActivities.record_gate, request)
            self._note_closed(answer.gate_id)
            return taken

    @answer_gate.validator
    def check_answer_gate(self, answer: c.AnswerGate) -> None:
        """A run that ends asks nobody any more."""
        if self._over or self._story.stopping:
            raise ApplicationError("Nothing waits for an answer.", type=c.REFUSED_WRONG_STAGE, non_retryable=True)

    @workflow.update(name=c.UPDATE_STOP)
    async def stop(self) -> d.Receipt:
        """Stop whatever runs. Answers with the receipt once STOPPED is recorded."""
        self._request_stop()
        await workflow.wait_condition(lambda: self._over)
        return self._receipt or d.standing_at(d.FAILED if self._failure else d.DONE, self._state.steps)

    @workflow.update(name=c.UPDATE_RESUME)
    async def resume(self) -> c.Resumed:
        """Sent together with the start of a run: answers once the run knows where it goes on."""
        await workflow.wait_condition(lambda: self._standing_known)
        if self._over and not self._receipt:
            raise ApplicationError("There is nothing to resume.", type=c.REFUSED_WRONG_STAGE, non_retryable=True)
        return c.Resumed(self._story.generation, workflow.info().run_id, False)

    @resume.validator
    def check_resume(self) -> None:
        """A run that is ending cannot be resumed, the next one can; one that runs need not be, and a refusal costs no
        history."""
        if self._story.stopping or self._over:
            raise ApplicationError("The run is just ending.", type=c.REFUSED_STOPPING, non_retryable=True)
        if self._standing_known:
            run_id = workflow.info().run_id
            raise ApplicationError("The run is under way.", run_id, type=c.REFUSED_RUNNING, non_retryable=True)

    def _request_stop(self) -> None:
        self._story.stopping = True
        if self._working:
            self._working.cancel()

    @workflow.signal(name=c.SIGNAL_CHILD_OVER)
    def child_over(self, task_id: str) -> None:
        """A task that this one delegated has ended."""
        self._note_closed(task_id)

    # For operators with Temporal's own tools

    @workflow.signal(name="signal_stop")
    async def signal_stop(self) -> None:
        """Stop, without an answer."""
        self._request_stop()

    @workflow.signal(name="signal_resume")
    async def signal_resume(self) -> None:
        """The review is done."""
        await self._by_signal(c.RecordActivities.record_review)

    @workflow.signal(name="signal_accept_rfc")
    async def signal_accept_rfc(self) -> None:
        """Accept the current plan."""
        await self._by_signal(c.RecordActivities.record_acceptance)

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """Continue as new at the next opportunity: on the current version of the workers."""
        self._story.moving_on = True

    async def _by_signal(self, record: AnswerActivity) -> None:
        # It means the plan that is under review now, not one that comes while it waits.
        answer = c.AcceptPlan(self._state.plan_hash, "signal")
        try:
            self._check_answer(answer)
            await self._answer(answer, record)
        except ApplicationError as refusal:
            # A signal has no caller to tell, and a refused one must not fail the task.
            workflow.logger.warning("Signal refused: %s", refusal.message)

    @workflow.query(name="query_status")
    def query_status(self) -> c.TaskStatus:
        """Where the run stands."""
        state, story = self._state, self._story
        paused = self._receipt is not None or (state.phase == d.PHASE_REVIEW and not story.stopping)
        accepted = state.phase in (d.PHASE_EXECUTING, d.PHASE_OVER)
        return c.TaskStatus(
            *(self._task_id, state.phase, state.plan_hash, state.steps, story.stopping, story.generation),
            paused=paused,
            accepted=accepted,
        )
