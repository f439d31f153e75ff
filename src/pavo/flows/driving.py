"""Executing a run that is held: what follows is asked of its progress, written, and then done.

What has come of steps, what that leads to and what begins is one commit. Whenever it is not certain what is written
(a reply was lost, somebody else has said something) the run is read anew: nothing that is kept here is needed for it.
"""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, TypeAlias

from pavo.errors import Conflict, Unavailable
from pavo.flows import turns
from pavo.flows.attempts import Attempted, Given, Steps, seconds_of
from pavo.flows.definition.definition import Definition
from pavo.flows.definition.written import WrittenStep
from pavo.flows.evaluation import CannotEvaluate, Evaluates
from pavo.flows.ledger import histories, holding, recording
from pavo.flows.ledger.changes import (
    Again,
    Began,
    CancelTold,
    Change,
    Concluded,
    Ended,
    ResultKey,
    Retrying,
    Unknown,
)
from pavo.flows.ledger.records import HANDING_OVER, History, Hold, OutOfStep, ResultRecord, RunRecord
from pavo.flows.progress import Progress, progress_of
from pavo.flows.scheduler import Status
from pavo.flows.turns import Turns
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.timeline.domain import Event

IDLE_SECONDS: Final = 5.0
"""A run that only waits, and longer than this, is given up until then: it needs no engine."""
AGAIN_SECONDS: Final = 0.2
"""Before the ledger is asked again that did not answer."""


Publish: TypeAlias = Callable[[Sequence[Event]], None]
"""See `timeline.publish`."""


def unheard(events: Sequence[Event]) -> None:
    """Where no viewers are told; they read the events in PostgreSQL."""


class Driver:
    """Of one run, as long as it is held.

    Args:
        publish: tells viewers what was committed.
    """

    def __init__(
        self, database: Database, hold: Hold, steps: Steps, evaluator: Evaluates, publish: Publish = unheard
    ) -> None:
        self._publish = publish
        self._database, self._hold, self._steps = database, hold, steps
        self._progress: Progress | None = None
        self._run: RunRecord | None = None
        self._results: dict[ResultKey, ResultRecord] = {}
        self._attempts: dict[ResultKey, int] = {}
        self._tasks: dict[ResultKey, asyncio.Task[Attempted]] = {}
        self._due: dict[ResultKey, float] = {}
        """Of timers and next attempts, by the monotonic clock."""
        self._awaiting = set[ResultKey]()
        """What others do, by what was read."""
        self._seq = 0
        self._ends_at = 0.0
        self._cancel_told = self._handing_over = False
        self._poked = asyncio.Event()
        self._definition: Definition | None = None
        self._turns = Turns(steps, evaluator)
        self._ending = False
        self._failure: Exception | None = None
        """What kept it from finding out what follows; first what is in flight comes to its end."""
        self._valid_until = math.inf
        self._prolonged = asyncio.Event()

    def holds_until(self, moment: float) -> None:
        """Its lease lasts so long.

        Args:
            moment: by the monotonic clock. Nothing begins later and nothing is written, since another engine may have
                the run by then; but for that the driver waits to be told of a further moment.
        """
        self._valid_until = moment
        self._prolonged.set()

    def end_soon(self) -> None:
        """Begin nothing more; what is in flight comes to its end, and the run is given up."""
        self._ending = True
        self.poke()

    def heard(self, seq: int, *, cancel_asked: bool, handing_over: bool) -> None:
        """What the run's row says: if that is news, the run is read anew."""
        news = cancel_asked and not self._cancel_told
        if news or seq > self._seq or handing_over != self._handing_over:
            self.poke()

    def poke(self) -> None:
        """Somebody has written of the run: it is to be read anew."""
        self._poked.set()

    async def drive(self) -> None:
        """Execute it until it is over, or nothing is to be done for a while; then it is given up.

        Raises:
            LeaseLost: it is another engine's.
            Exception: whatever nobody foresaw. What had come of steps by then is written.
        """
        try:
            while True:
                try:
                    if await self._turn():
                        return
                except OutOfStep:
                    self._progress = None
                except (Conflict, Unavailable):
                    self._progress = None
                    await asyncio.sleep(AGAIN_SECONDS)
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _turn(self) -> bool:
        """Go on by one commit; whether this engine is done with the run."""
        await self._holds()
        if self._poked.is_set():
            self._progress = None
        progress = self._progress or await self._read()
        changes = await self._changes(progress)
        if changes:
            await self._write(changes)
            return isinstance(changes[-1], Concluded)
        if not self._tasks and self._failure is not None:
            raise self._failure
        if not self._tasks and (self._begins_nothing or not self._is_due_soon()):
            await self._release()
            return True
        await self._wait()
        return False

    # Reading

    async def _read(self) -> Progress:
        self._poked.clear()
        async with self._database.transaction() as session:
            await recording.held(session, self._hold)
            history = await histories.history_of(session, self._hold.run_id)
        return self._take(history)

    def _take(self, history: History) -> Progress:
        run = history.run
        progress = progress_of(history, self._definition)
        self._definition = progress.definition
        self._cancel_told = any(isinstance(each, CancelTold) for each in history.changes)
        self._run, self._seq, self._results = run, run.seq, dict(history.results)
        self._handing_over = run.state == HANDING_OVER or run.is_paused
        now = time.monotonic()
        self._ends_at = now + run.seconds_left
        self._attempts = {key: each.attempt for key, each in history.results.items()}
        self._due = {
            key: now + (each.due_seconds or 0.0)
            for key, each in history.results.items()
            if each.state in ("timer", "retrying")
        }
        self._awaiting = {key for key, each in history.results.items() if each.state == "awaiting"}
        self._turns.read(history.results)
        self._progress = progress
        for key in [each for each in self._tasks if not self._is_mine(each)]:
            self._tasks.pop(key).cancel()
        for key in self._results:
            if self._is_mine(key) and key not in self._tasks:
                self._start(key)  # the reply to the commit by which it began was lost
        return progress

    def _is_mine(self, key: ResultKey) -> bool:
        """Whether this engine has written that it is in flight."""
        found = self._results.get(key)
        return found is not None and found.state == "running" and found.epoch == self._hold.epoch

    # What is to be written

    async def _changes(self, progress: Progress) -> list[Change]:
        """What has happened, and all that follows at once."""
        changes = [*self._cancel(), *self._interrupted(), *self._finished(), *self._timed()]
        for change in changes:
            progress.told(change)
        if self._begins_nothing:
            return changes
        try:
            return changes + await self._turns.following(progress, self._may_stop)
        except Exception as error:  # noqa: BLE001 - raised once what is in flight has come to its end
            self._failure = error
            self.end_soon()
            return changes

    def _may_stop(self, key: ResultKey, *, repeatable: bool) -> bool:
        """Whether it ends at once: waits do, and attempts that may be repeated. Others come to their end, since what
        they do cannot be called back."""
        task = self._tasks.get(key)
        return key in self._due or key in self._awaiting if task is None else repeatable and not task.done()

    def _cancel(self) -> list[Change]:
        assert self._run is not None and self._definition is not None
        if self._cancel_told:
            return []
        found = turns.cancel(self._definition, self._run, is_too_long=time.monotonic() >= self._ends_at)
        self._cancel_told = bool(found)
        return found

    def _interrupted(self) -> list[Change]:
        """What was in flight on an engine that was lost."""
        assert self._definition is not None
        left = {key: each for key, each in self._results.items() if key not in self._tasks}
        self._results = {}
        return turns.interrupted(self._definition, left, self._hold.epoch, may_begin=not self._begins_nothing)

    def _finished(self) -> list[Change]:
        return [self._outcome(key, task.result()) for key, task in self._tasks.items() if task.done()]

    def _outcome(self, key: ResultKey, attempted: Attempted) -> Change:
        assert self._definition is not None
        return turns.outcome(self._definition, key, self._attempts[key], attempted)

    def _timed(self) -> list[Change]:
        """Timers that are due, and attempts."""
        found: list[Change] = []
        for key in [each for each, due in self._due.items() if due <= time.monotonic()]:
            if self._is_timer(key):
                found.append(Ended(key, Status.SUCCEEDED))
            elif not self._begins_nothing:
                found.append(Again(key))
        return found

    @property
    def _begins_nothing(self) -> bool:
        return self._handing_over or self._ending

    def _is_timer(self, key: ResultKey) -> bool:
        return turns.is_timer(self._step(key), key)

    # Writing and doing

    async def _write(self, changes: Sequence[Change]) -> None:
        written = await recording.commit_at_once(self._database, self._hold, self._seq, changes)
        self._publish(written.events)
        self._seq = written.seq
        for change in changes:
            if isinstance(change, Concluded):
                metrics.FLOW_RUNS_ENDED.add(self._hold.engine, str(change.outcome))
            if isinstance(change, Ended | Retrying | Unknown | Again):
                self._due.pop(change.key, None)
                if (task := self._tasks.pop(change.key, None)) is not None:
                    task.cancel()
        self._dispatch(changes, written.now)
        self.heard(written.seq, cancel_asked=written.cancel_asked, handing_over=written.handing_over)

    def _dispatch(self, changes: Sequence[Change], at: datetime) -> None:
        """Do what was written to begin. Nothing else ever is."""
        now = time.monotonic()
        over = {each.key for each in changes if isinstance(each, Ended)}
        for change in changes:
            if isinstance(change, Retrying):
                self._due[change.key] = now + change.after.total_seconds()
            elif isinstance(change, Began) and change.key not in over:
                self._attempts[change.key] = 1
                if change.timer is None:
                    self._start(change.key)
                else:
                    self._due[change.key] = now + seconds_of(change.timer, at)
            elif isinstance(change, Again) and change.key not in over:
                self._attempts[change.key] += 1
                self._start(change.key)

    def _start(self, key: ResultKey) -> None:
        assert self._progress is not None and self._run is not None
        attempt = self._attempt(key, self._progress, self._run, self._attempts[key])
        self._tasks[key] = asyncio.create_task(attempt, name=f"step {key.step}")

    async def _attempt(self, key: ResultKey, progress: Progress, run: RunRecord, number: int) -> Attempted:
        step = self._step(key)
        try:
            values = await self._turns.filled(progress, key)
        except CannotEvaluate as error:
            return Attempted(error=str(error))
        tool = step.compensate.tool if key.undoes and step.compensate is not None else ""
        name = key.idempotency_key(run.id)
        given = Given(run.id, run.organisation_id, key, name, number, tool, values)
        await self._holds()
        return await self._steps.attempt(step, given)

    async def _holds(self) -> None:
        """Wait while the lease is over. Whoever keeps it is told that it is another engine's, or renews it."""
        while time.monotonic() >= self._valid_until:
            self._prolonged.clear()
            await self._prolonged.wait()

    def _step(self, key: ResultKey) -> WrittenStep:
        assert self._definition is not None
        return self._definition.flow.steps[key.step]

    # Waiting

    def _is_due_soon(self) -> bool:
        return any(due - time.monotonic() <= IDLE_SECONDS for due in self._due.values())

    async def _wait(self) -> None:
        """Until something has ended or is due, or somebody has written of the run."""
        until = [due for key, due in self._due.items() if not self._begins_nothing or self._is_timer(key)]
        if not self._cancel_told:
            until.append(self._ends_at)
        poked = asyncio.create_task(self._poked.wait())
        try:
            limit = max(min(until) - time.monotonic(), 0.0) if until else None
            waiting = {poked, *self._tasks.values()}
            await asyncio.wait(waiting, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            poked.cancel()

    async def _release(self) -> None:
        async with self._database.transaction() as session:
            row = await recording.held(session, self._hold)
            if row.seq != self._seq or (row.cancel_asked_at is not None and not self._cancel_told):
                raise OutOfStep("The run was written since.")
            await holding.release(session, self._hold, idle=not self._begins_nothing)
