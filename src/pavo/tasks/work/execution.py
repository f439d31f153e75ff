"""An attempt under one lease: open, drive the agent step by step, record each, close."""

import asyncio
import logging
import time
import uuid
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import TypeVar

from pavo.agents.asking.question import Waits
from pavo.agents.contract import Step
from pavo.agents.hosts.agent_host import AgentHost
from pavo.errors import AgentDied, AgentError, AgentRefused, LeaseLost
from pavo.kit.sql import time_of
from pavo.observe import metrics
from pavo.observe.spans import span
from pavo.runs.fence import Fence
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.sql import repository
from pavo.tasks.sql.lease import Beginnings, Lease
from pavo.tasks.sql.repository import NewDocument
from pavo.tasks.sql.steps import progress_of, step_record
from pavo.tasks.sql.transitions import end_attempt
from pavo.tasks.sql.transitions.open_lease import AlreadyDone, Opened, open_lease
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.attempts import Attempts
from pavo.tasks.work.checkpoints import CheckpointTrail
from pavo.tasks.work.context.asked_people import ask_people
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.failures import ExplainedFailure, failure_of, no_progress, quarantine, quarantine_of
from pavo.tasks.work.hosting import Hosting
from pavo.tasks.work.interruption import (
    HINT,
    SHUTDOWN,
    Cut,
    Interruption,
    StepLimit,
    TookTooLong,
    until_interrupted,
)
from pavo.tasks.work.slots.parked import ParkedAgent, Slots
from pavo.tasks.work.step_recorder import StepRecorder
from pavo.timeline.domain import NewEvent

logger = logging.getLogger(__name__)
T = TypeVar("T")
NO_PROGRESS_LOG = "Task %s makes no progress: its agent began %d times again after step %s. The last time: %s"


class BatchExecutor:
    """Executes tasks, an attempt after the other; any number at once on one event loop.

    Args:
        slots: in which they run.
        progress_steps: after so many steps viewers are told how far the task is.
    """

    def __init__(
        self,
        hosting: Hosting,
        writer: TaskWriter,
        recorder: StepRecorder,
        attempts: Attempts,
        slots: Slots,
        progress_steps: int,
    ) -> None:
        self.hosting = hosting
        """Where agents run."""
        self._publisher = hosting.publisher
        self._writer = writer
        self.recorder = recorder
        """Where steps are recorded."""
        self._attempts = attempts
        self.slots = slots
        """In which attempts run."""
        self.progress_steps = progress_steps

    async def run(
        self, request: c.ExecuteBatch, interruption: Interruption, opened: Opened | None = None, *, ended: bool = False
    ) -> c.BatchDone:
        """Record steps until the agent is done or fails, or the attempt is interrupted, or is asked to end.

        Args:
            opened: where the lease is held already.
            ended: whether the attempt before ended in order; a lease that it could not give back is no death then.

        Raises:
            Superseded: the task is not executing in this generation any more.
            LeaseLost: a newer attempt took over in the middle.
            Unavailable: PostgreSQL went away; a new attempt goes on from what was recorded.
        """
        task_id = uuid.UUID(request.task_id)
        self._attempts.begin(task_id, interruption)
        try:
            begun = opened or await self._open(task_id, request, ended=ended)
            if isinstance(begun, AlreadyDone):
                return c.BatchDone(c.FINISHED, begun.steps)
            held = begun.lease
            if held.stop_hint:
                # A stop that was only signalled has answered already: ask the workflow before a step starts.
                interruption.interrupt(HINT)
            interruption.moving = interruption.moving or held.asked_to_move == request.fence.transition
            if held.deaths >= d.MAX_DEATHS:
                return await self._close_fatal(held)
            return await _Attempt(self, begun, request, interruption).run()
        finally:
            self._attempts.end(task_id, interruption)

    async def _open(self, task_id: uuid.UUID, request: c.ExecuteBatch, *, ended: bool) -> Opened | AlreadyDone:
        opened, recorded = await open_lease(self._writer, task_id, request.fence, request.plan_hash, ended=ended)
        self._publisher.publish(recorded)
        if isinstance(opened, Opened) and opened.lease.took_over:
            metrics.RECOVERIES.add("worker")
        return opened

    async def _close_fatal(self, held: Lease) -> c.BatchDone:
        """The agent has ended too many processes: what counted the last of them has noted how."""
        async with self.hosting.database.reading() as session:
            told = (await repository.execution(session, held.task_id)).failure
        failure = quarantine_of(f"Checkpoint {held.step + 1}", held.deaths, told)
        await self.close(held, [], failure=failure)
        return c.BatchDone(c.FATAL, held.step, failure=failure.decided())

    async def close(
        self,
        held: Lease,
        new: Sequence[NewEvent],
        *,
        died: bool = False,
        failure: ExplainedFailure | None = None,
        retry_at: datetime | None = None,
        beginnings: Beginnings | None = None,
    ) -> int:
        """End the attempt in order, with its last events and its failure, in one transaction; answers the deaths."""
        told, again = failure.told() if failure else None, beginnings or held.beginnings
        closed = await end_attempt.close_lease(
            self._writer, held, new, died=died, failure=told, retry_at=retry_at, beginnings=again
        )
        if closed is None:
            raise _lost(held)
        deaths, recorded = closed
        self._publisher.publish(recorded)
        return deaths

    async def finish(self, held: Lease, fence: Fence, report: NewDocument, new: Sequence[NewEvent]) -> None:
        """End the attempt with the report and DONE, in one transaction."""
        recorded = await end_attempt.finish(self._writer, held, fence, report, new)
        if recorded is None:
            raise _lost(held)
        self._publisher.publish(recorded)

    async def ask(self, opened: Opened, waits: Waits, step: int) -> c.BatchDone:
        """End the attempt after this step with questions to people."""
        asked = await ask_people(self._writer, opened, waits, step)
        if asked is None:
            raise _lost(opened.lease)
        self._publisher.publish(asked[1])
        return asked[0]


class _Attempt:
    """The state of one attempt in flight."""

    def __init__(
        self,
        executor: BatchExecutor,
        opened: Opened,
        request: c.ExecuteBatch,
        interruption: Interruption,
    ) -> None:
        self._executor = executor
        self._opened = opened
        self._lease, self._assignment, self._plan = opened.lease, opened.assignment, opened.plan
        self._request, self._interruption = request, interruption
        self._step = opened.lease.step
        self._checkpoint = opened.lease.checkpoint
        self._trail = CheckpointTrail(opened.lease.checkpoint)
        self._told = opened.lease.step
        """How many steps viewers were told of."""
        self._cancelled, self._held = asyncio.Event(), HeldEpoch(opened.lease.epoch)
        self._cut = self._step_cut = self._turn_over = False
        self._waits: Waits | None = None

    async def run(self) -> c.BatchDone:
        """Drive the agent and say how it ended."""
        host: AgentHost | None = None
        try:
            host = await self._host()
            body = await self._report(host) if await self._drive(host) else None
            if body is not None:
                return await self._finish(body)
            if self._waits is not None:
                return await self._executor.ask(self._opened, self._waits, self._step)
            done = await self._close(self._outcome())
            if self._turn_over and not self._interruption.wanted and host.is_open():
                self._park(host)
                host = None
            return done
        except AgentDied as death:
            return await self._died(death)
        except AgentError as error:
            return await self._failed(error)
        finally:
            if host is not None:
                self._executor.hosting.deltas.end(self._lease.task_id, self._lease.epoch)
                await host.close(force=self._cut)

    async def _host(self) -> AgentHost:
        """The agent that is parked at this point, or a new one."""
        generation, plan_hash = self._request.fence.generation, self._request.plan_hash
        if (parked := await self._executor.slots.parked.take(self._lease, generation, plan_hash)) is not None:
            self._cancelled, self._held = parked.cancelled, parked.held
            try:
                await self._held.move(self._lease.epoch)
            except BaseException:
                await parked.host.close(force=True)
                raise
            return parked.host
        return await self._executor.hosting.open(
            self._assignment,
            cancelled=self._cancelled,
            attempt=self._lease.epoch,
            version=self._plan.version,
            held=self._held,
            steps=self._step,
        )

    def _park(self, host: AgentHost) -> None:
        agent = ParkedAgent(
            host,
            self._cancelled,
            self._held,
            generation=self._request.fence.generation,
            plan_hash=self._request.plan_hash,
            epoch=self._lease.epoch,
            step=self._step,
            checkpoint=self._trail.fingerprint(),
        )
        self._executor.slots.parked.park(self._lease.task_id, agent)

    def _outcome(self) -> str:
        """Of an attempt after which the agent has more to do."""
        interruption = self._interruption
        if interruption.wanted:
            return c.MORE if interruption.reason == SHUTDOWN else c.INTERRUPTED
        return c.MOVED if interruption.moving else c.MORE

    def _is_asked_to_end(self) -> bool:
        interruption = self._interruption
        if interruption.wanted or interruption.moving:
            return True
        if interruption.stretch_is_over:
            self._turn_over = True
        elif self._trail.says_more:  # whoever begins there has lost nothing
            resets = interruption.resets_retries and self._step - self._lease.step >= self._executor.progress_steps
            self._turn_over = resets or self._executor.slots.turns.is_over(interruption.begun)
        return self._turn_over

    async def _work_of(self, call: Awaitable[T], grace: float, limit: StepLimit | None = None) -> T | Cut:
        """What the agent answers, unless it is interrupted and does not end within its grace.

        Once it is told to end, only a step still counts. An end, a report or an error may be its way to obey, and would
        make the task DONE or FAILED with half of its work: all of them are asked for again.
        """
        interruption = self._interruption
        try:
            answer = await until_interrupted(call, interruption, grace=grace, on_interrupt=self._cancelled, limit=limit)
        except TookTooLong:
            self._cut = True
            raise
        except AgentError:
            if interruption.told:
                return Cut()
            raise
        self._cut = isinstance(answer, Cut)
        return answer if isinstance(answer, Step) or not interruption.told else Cut()

    async def _drive(self, host: AgentHost) -> bool:
        """Record steps; True when the agent has no more."""
        hosting = self._executor.hosting
        grace, limit = hosting.grace(self._assignment.agent_type), hosting.step_limit(self._assignment, host)
        # No grace: until it is open, no step is in flight that could be lost.
        if self._is_asked_to_end():
            return False
        opening = None if host.is_open() else host.open(self._plan, self._checkpoint)
        if opening is not None and isinstance(await self._work_of(opening, 0), Cut):
            return False
        while not self._is_asked_to_end():
            with span("step", {"pavo.task_id": self._request.task_id, "pavo.step": self._step + 1}) as seen:
                began = time.perf_counter()
                step = await self._work_of(host.next_step(), grace, limit)
                if isinstance(step, Cut):
                    self._step_cut = True
                    return False
                if isinstance(step, Waits):
                    seen.rename("wait for people")
                    self._waits = step
                    return False
                if step is None:
                    seen.rename("end of steps")
                    return True
                metrics.STEP_SECONDS.observe(time.perf_counter() - began)
                await self._record(step)
                seen.set("pavo.recorded", True)
        return False

    async def _record(self, step: Step) -> None:
        number = self._step + 1
        new = [events.of_agent(event.type, event.data) for event in step.events]
        new.append(events.tick(progress_of(step, number), number, step.total, step.plan_step))
        if number - self._told >= self._executor.progress_steps:
            self._told = number
            new.append(events.progress(number))
        record = step_record(self._lease.task_id, self._lease.epoch, number, step, new, self._plan.version)
        # Shielded: a commit under way is never cut, it would leave nobody to know its outcome.
        recorded = await asyncio.shield(self._executor.recorder.record(record))
        self._executor.hosting.deltas.recorded(self._lease.task_id, number)
        self._trail.add(record.checkpoint)
        self._step, self._checkpoint = number, step.checkpoint
        if recorded.stop_hint:
            self._interruption.interrupt(HINT)
        if recorded.asked_to_move == self._request.fence.transition:
            self._interruption.moving = True

    async def _close(self, outcome: str) -> c.BatchDone:
        await self._executor.close(self._lease, [events.progress(self._step)])
        return c.BatchDone(outcome, self._step, step_cut=self._step_cut)

    async def _report(self, host: AgentHost) -> str | None:
        """The report; None when it was cut, then the next attempt writes it."""
        hosting = self._executor.hosting
        grace, limit = hosting.grace(self._assignment.agent_type), hosting.step_limit(self._assignment, host)
        with span("report", {"pavo.task_id": self._request.task_id}):
            body = await self._work_of(host.report(self._plan, self._checkpoint), grace, limit)
        return None if isinstance(body, Cut) else body

    async def _finish(self, body: str) -> c.BatchDone:
        report = end_attempt.report_of(self._lease, body)
        new = [events.progress(self._step), events.report(report.id), events.stage(d.DONE)]
        await self._executor.finish(self._lease, self._request.fence, report, new)
        return c.BatchDone(c.FINISHED, self._step)

    async def _failed(self, error: AgentError) -> c.BatchDone:
        failures = 1 + (self._request.failures if self._step == self._request.failed_step else 0)
        metrics.STEP_ERRORS.add()
        failure = failure_of(error)
        last = isinstance(error, AgentRefused) or failures >= d.MAX_STEP_ATTEMPTS
        new, retry_at, beginnings = [events.progress(self._step)], None, self._lease.beginnings
        if not last:
            beginnings, failure = self._begins_again(failure, failure.cause, new)
            last = not failure.retryable
        if not last:
            async with self._executor.hosting.database.reading() as session:
                retry_at = d.retry_at(await time_of(session), failures)
            new.append(events.retry(self._step + 1, failure.cause, failures, retry_at))
        await self._executor.close(self._lease, new, failure=failure, retry_at=retry_at, beginnings=beginnings)
        return c.BatchDone(c.FATAL if last else c.ERROR, self._step, failure=failure.decided(), failures=failures)

    async def _died(self, death: AgentDied) -> c.BatchDone:
        new = [events.recovered(self._step, f"the agent's process died: {death.detail}")]
        # A machine that shuts down may end all processes at once: the agent's death is that of its worker then.
        died = self._interruption.reason != SHUTDOWN
        before = self._lease.deaths if self._step == self._lease.step else 0  # a recorded step begins the count anew
        failure = quarantine(f"Checkpoint {self._step + 1}", before + 1, death.detail, death.remedy)
        beginnings, failure = self._begins_again(failure, new[0].data["cause"], new)
        deaths = await self._executor.close(self._lease, new, died=died, failure=failure, beginnings=beginnings)
        metrics.RECOVERIES.add("agent")
        if deaths >= d.MAX_DEATHS or beginnings.count >= d.MAX_BEGINNINGS:
            return c.BatchDone(c.FATAL, self._step, failure=failure.decided())
        return c.BatchDone(c.MORE, self._step)

    def _begins_again(
        self, failure: ExplainedFailure, cause: str, new: list[NewEvent]
    ) -> tuple[Beginnings, ExplainedFailure]:
        """Count that the agent ended by itself and is to begin again here; warn in `new`, or give the task up."""
        beginnings = self._lease.beginnings
        if self._interruption.wanted:  # somebody else had it end
            return beginnings, failure
        beginnings = beginnings.after_end(self._trail.fingerprint())
        count = beginnings.count
        if count >= d.MAX_BEGINNINGS:
            failure = no_progress(self._step, count, cause)
        elif count % d.WARNED_BEGINNINGS == 0:
            metrics.NO_PROGRESS.add()
            logger.warning(NO_PROGRESS_LOG, self._lease.task_id, count, self._step, cause)
            new.append(events.no_progress(self._step, count, cause))
        return beginnings, failure


def _lost(held: Lease) -> LeaseLost:
    metrics.LEASES_LOST.add()
    return LeaseLost(f"Epoch {held.epoch} of task {held.task_id} is over.")
