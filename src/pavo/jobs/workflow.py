"""The durable story of one attempt at a job: plan, execute, verify, publish, and always clean up.

The workflow decides; the attempt's agent carries out its commands, one after the other, and short writes show where the
job stands. It holds ids and numbers only.
"""

from collections.abc import Awaitable, Callable
from typing import Final

from temporalio import workflow
from temporalio.exceptions import ApplicationError

# Not `from pavo.jobs import …`: that form goes round the sandbox's import and executes the modules for every run.
with workflow.unsafe.imports_passed_through():
    import pavo.jobs.attempt.contracts as a
    import pavo.jobs.contracts as c
    import pavo.jobs.domain as d
    from pavo.jobs.attempt.agent_link import AgentLink
    from pavo.runs.story import SIGNAL_MOVE_ON, Story, run_short_activity

PLANNING: Final = d.PLAN_PHASE
EXECUTING: Final = d.EXECUTE_PHASE
VERIFYING: Final = "verifying"
PUBLISHING: Final = "publishing"


@workflow.defn(name=c.WORKFLOW_TYPE)
class CodingJob:
    """One attempt at a job; another attempt is another workflow, with the next epoch."""

    @workflow.init
    def __init__(self, request: c.JobInput) -> None:
        self._job_id, self._epoch = request.job_id, request.epoch
        self._state = request.carry or c.JobState()
        self._story = Story(request.epoch, self._state)
        self._link = AgentLink(request.job_id, request.epoch, self._state, self._story)
        self._over, self._gone = False, False
        self._stage = ""
        self._receipt: a.CancelReceipt | None = None

    @workflow.run
    async def run(self, request: c.JobInput) -> str:
        """Returns the stage in which the job is then."""
        state, story = self._state, self._story
        if not state.phase:
            await self._begin()
        while not (self._gone or state.how or story.stopping or self._link.lost):
            if story.is_due():
                await story.continue_as_new(c.JobInput(self._job_id, self._epoch, state))
            else:
                await self._phases[state.phase]()
        if not self._gone:
            await self._end()
        self._over = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        if self._stage == d.FAILED:
            # What the agent said stands in the job's row: a failure's message would be in the history in clear.
            raise ApplicationError("The job failed; its row says why.", type="JobFailed", non_retryable=True)
        return self._stage

    @property
    def _phases(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            PLANNING: self._plan,
            EXECUTING: self._execute,
            VERIFYING: self._verify,
            PUBLISHING: self._publish,
        }

    # The phases

    async def _begin(self) -> None:
        request = a.BeginAttempt(self._job_id, self._epoch, self._story.fence())
        plan = await run_short_activity(a.JobActivities.begin_attempt, request)
        self._state.plan, self._gone = plan, not plan.holds
        self._state.phase = PLANNING if plan.review_plan else EXECUTING

    async def _plan(self) -> None:
        state, story = self._state, self._story
        if state.gate is None:
            made = await self._link.command(c.MAKE_PLAN, state.plan_round)
            if made is None or not self._succeeded(made):
                return
            request = a.JobStep(self._job_id, self._epoch, story.fence(), state.command_id)
            opened = await run_short_activity(a.JobActivities.open_plan, request)
            self._gone = not opened.holds
            state.gate = opened.gate_id
            if opened.accepted:
                self._accept()
            return
        gate = state.gate
        await workflow.wait_condition(lambda: state.gate != gate or self._link.is_interrupted())
        await self._link.look_whether_lost()

    def _accept(self) -> None:
        self._state.gate, self._state.phase = None, EXECUTING

    async def _execute(self) -> None:
        state = self._state
        done = await self._link.command(c.START_EXECUTION, state.round)
        if done is None or not self._succeeded(done):
            return
        if not done.changed:
            state.how, state.outcome = c.ENDED_DONE, c.NO_CHANGES
        else:
            state.phase = VERIFYING if state.plan and state.plan.verify else PUBLISHING

    async def _verify(self) -> None:
        state = self._state
        if not await self._enter(d.VERIFYING):
            return
        done = await self._link.command(c.RUN_VERIFICATION, state.round)
        if done is None or not self._succeeded(done):
            return
        if done.passed:
            state.phase = PUBLISHING
        elif state.plan and state.round < state.plan.verify_rounds:
            state.round, state.phase = state.round + 1, EXECUTING
        else:
            state.how, state.error = c.ENDED_FAILED, a.VERIFICATION_FAILED

    async def _publish(self) -> None:
        if not await self._enter(d.PUBLISHING):
            return
        done = await self._link.command(c.CREATE_PULL_REQUEST, self._state.round)
        if done is not None and self._succeeded(done):
            self._state.how = c.ENDED_DONE

    def _succeeded(self, outcome: c.CommandOutcome) -> bool:
        """Whether a command was carried out; else it is known how the attempt ends."""
        if outcome.kind == c.OUTCOME_DONE:
            return True
        self._state.how = c.ENDED_LOST if self._link.is_unable(outcome) else c.ENDED_FAILED
        self._state.error = outcome.error or a.COMMAND_FAILED
        return False

    async def _enter(self, stage: str) -> bool:
        request = a.EnterStage(self._job_id, self._epoch, self._story.fence(), stage)
        holds = await run_short_activity(a.JobActivities.enter_stage, request)
        self._gone = self._gone or not holds
        return holds

    # The end

    async def _end(self) -> None:
        """Whatever has happened: have the agent end and clean up what it has, and show how the attempt ended."""
        state, link = self._state, self._link
        reached, killed, cleaned = True, 0, not state.sent
        if not state.how:
            state.how = c.ENDED_CANCELLED if self._story.stopping else c.ENDED_LOST
            state.error = (a.STUCK if link.stuck else a.LEASE_EXPIRED) if state.how == c.ENDED_LOST else ""
            reached = not (state.sent and link.lost)
            if state.sent and reached:
                reached, done = await link.cancel()
                killed = done.killed if done else 0
                if done and done.kind == c.OUTCOME_DONE and state.phase == PUBLISHING:
                    state.how = c.ENDED_DONE  # it was published before the agent heard of the cancelling
        if state.sent and reached:
            if not await self._enter(d.CLEANING):
                return
            cleaned = await link.clean_up()
        await self._record_end(cleaned=cleaned)
        self._receipt = a.CancelReceipt(self._stage, reached, killed, cleaned)

    async def _record_end(self, *, cleaned: bool) -> None:
        state = self._state
        lost = a.WHY_LOST.get(state.error, ("", "")) if state.how == c.ENDED_LOST else ("", "")
        request = a.EndAttempt(
            self._job_id,
            self._epoch,
            self._story.fence(),
            state.how,
            state.error,
            *lost,
            cleaned=cleaned,
            command_id=state.command_id,
            outcome=state.outcome,
        )
        self._stage = await run_short_activity(a.JobActivities.end_attempt, request)

    # What it is told

    @workflow.signal(name=c.SIGNAL_CANCEL)
    def cancel(self) -> None:
        """Cancel the job."""
        self._story.stopping = True

    @workflow.update(name=a.UPDATE_CANCEL)
    async def cancel_and_wait(self) -> a.CancelReceipt:
        """Cancel the job. Answers once its end is recorded: with what was reached."""
        self._story.stopping = True
        await workflow.wait_condition(lambda: self._over)
        return self._receipt or a.CancelReceipt(self._stage, reached=True)

    @workflow.signal(name=c.SIGNAL_AGENT_CONNECTED)
    def agent_connected(self) -> None:
        """The agent has a session again, perhaps at another gateway."""
        self._link.connections += 1

    @workflow.signal(name=c.SIGNAL_LEASE_LOST)
    def lease_lost(self) -> None:
        """The lease of the attempt seems to have run out; the row says whether it has."""
        self._link.doubted = True

    @workflow.update(name=a.UPDATE_ANSWER_GATE)
    async def answer_gate(self, answer: a.AnswerGate) -> bool:
        """Close the gate over the plan. Answers once that is recorded: whether by this answer, or by one before it."""
        async with self._story.in_order:
            self.check_answer_gate(answer)
            request = a.RecordPlanAnswer(self._job_id, answer.gate_id, answer.answer_id)
            done = await run_short_activity(a.JobActivities.record_plan_answer, request)
            if done.closed and self._state.gate == answer.gate_id:
                if done.accepted:
                    self._accept()
                else:
                    self._state.gate, self._state.plan_round = None, self._state.plan_round + 1
            return done.taken

    @answer_gate.validator
    def check_answer_gate(self, answer: a.AnswerGate) -> None:
        """An attempt that ends asks nobody any more."""
        if self._over or self._gone or self._story.stopping or self._state.how:
            raise ApplicationError("Nothing waits for an answer.", type=a.REFUSED_NOTHING_ASKED, non_retryable=True)

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """Continue as new at the next opportunity: on the current version of the workers."""
        self._story.moving_on = True

    @workflow.query(name="job_state")
    def job_state(self) -> c.JobState:
        """Where the attempt stands."""
        return self._state
