"""Use cases of a task's life: create, read, start, stop, resume, delete."""

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from redis.asyncio import Redis

from pavo.accounts.domain import Grant, Identity
from pavo.agents.importing import Imports
from pavo.errors import (
    InternalError,
    NotFound,
    OutcomeUnknown,
    PavoError,
    Stopping,
    Unavailable,
    WrongStage,
)
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.kit.subscription import REDIS_AWAY
from pavo.observe.noted_ids import note
from pavo.runs import idempotency
from pavo.runs.fenced_row import after
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.commands import TaskCommands, run_of
from pavo.tasks.schemas import TaskCreate, Wanted
from pavo.tasks.sql import delegations, lease, listing, logs, removal, repository
from pavo.tasks.sql.listing import Listed
from pavo.tasks.sql.logs import LogChunk
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.repository import TaskView
from pavo.tasks.sql.request_statements import RequestStatements, create_in
from pavo.tasks.sql.transitions import follow_up
from pavo.tasks.work.context import deltas
from pavo.tasks.work.hints import STOP_CHANNEL
from pavo.tasks.work.record_activities import TransitionRecorder
from pavo.temporal.failures import NoSuchRun
from pavo.timeline.domain import Event, Subject, WantedDeltas
from pavo.timeline.publish import Publisher
from pavo.tools.policies.checked import checked_of_task
from pavo.tools.policies.service import add_to_task
from pavo.transcripts import service as transcripts
from pavo.transcripts.domain import TranscriptMessage, Window
from pavo.usage.service import add_to_task as add_budgets

logger = logging.getLogger(__name__)

RESUME_TRIES = 40
"""A closing run refuses a resume; closing takes two short transactions."""
RESUME_PAUSE_SECONDS = 0.05
AT_ONCE = 8
"""Tasks of one request for many that are commanded at the same time."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Started:
    """What a start or resume answers."""

    workflow_id: str
    run_id: str | None
    already_running: bool


@dataclass(frozen=True, slots=True)
class StopPending:
    """A stop that is durable, and that nobody has carried out yet."""

    detail: str
    """Why not, for people."""
    reason: str
    """The same as one of the reasons of `runs.workflow_calls`."""


class TaskService:
    """What people and programs do with tasks."""

    def __init__(
        self,
        database: Database,
        statements: RequestStatements,
        redis: Redis,
        publisher: Publisher,
        agents: Imports,
        commands: TaskCommands,
    ) -> None:
        self._database = database
        self._statements = statements
        self._redis = redis
        self._publisher = publisher
        self._agents = agents
        self._commands = commands
        self._recorder = TransitionRecorder(database, publisher)

    async def create(self, who: Identity, new: TaskCreate, idempotency_key: str | None = None) -> tuple[TaskView, bool]:
        """Store a task; (task, whether it is new). With a key the same request creates once.

        Raises:
            InvalidInput, TooLarge: unknown agent, options that its schema does not take, or a policy that is none.
            Unavailable: the agent's import takes long.
            IdempotencyMismatch: the key belongs to another request.
            Conflict: the task that the key created was deleted.
        """
        await self._agents.known(new.agent_type)
        options = self._agents.registry.validate_options(new.agent_type, new.agent_options)
        task = _row(new_id(), who, new, options)
        try:
            recorded = await self._store(who, new, task, idempotency_key)
        except idempotency.Repeated as repeated:
            return await self._repeated(who, repeated.subject_id), False
        self._publisher.publish(recorded)
        note(task_id=str(task.id), workflow_id=task.workflow_id)
        return TaskView(task, 0, 0, None, None), True

    async def _store(self, who: Identity, new: TaskCreate, task: TaskRow, key: str | None) -> list[Event]:
        first, policies = events.stage(d.INIT), checked_of_task([each.model_dump() for each in new.policies])
        if key is None and not policies and not new.budgets:
            return await self._statements.create_task(task, first)
        async with self._database.transaction() as session:
            recorded = await create_in(session, task, first)
            await add_to_task(session, who, task.id, policies)
            await add_budgets(session, who, task.id, new.budgets)
            if key is not None:
                await idempotency.claim(session, who, idempotency.request_of(key, "task", new), task.id)
            return recorded

    async def _repeated(self, who: Identity, task_id: uuid.UUID) -> TaskView:
        try:
            return await self.get(who, task_id)
        except NotFound as error:
            raise idempotency.gone("task") from error

    async def get(self, who: Identity, task_id: uuid.UUID) -> TaskView:
        """One task.

        Raises:
            NotFound: unknown, deleted, or not theirs.
        """
        view = await self._statements.find_task(task_id)
        if view is None or view.task.organisation_id not in who.organisation_ids:
            raise unknown_task(task_id)
        note(workflow_id=view.task.workflow_id)
        return view

    async def watched(self, who: Identity | None, task_id: uuid.UUID) -> Subject:
        """The task as the subject of a stream; a deleted one too, for its streams end instead of being unknown.

        Args:
            who: None where the task's id is the capability (dev mode).

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            task = await repository.row_or_tombstone(session, task_id)
        if task is None or (who is not None and task.organisation_id not in who.organisation_ids):
            raise unknown_task(task_id)
        grant = Grant("task", task_id, task.organisation_id, who)
        at_rest = task.stage in d.RESUMABLE
        wanted = WantedDeltas(events.settles, events.settled_in(task.stage))
        return Subject(task_id, task.deleted_at is not None, at_rest, events.rests, wanted, grant)

    async def owners(self, task_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, uuid.UUID]:
        """Whose these tasks are, by organisation; deleted ones are left out."""
        async with self._database.reading() as session:
            return await repository.owners(session, task_ids)

    async def log(self, task_id: uuid.UUID, after: int, size: int) -> Sequence[LogChunk]:
        """What the task's agent printed after this chunk, as much as fits so many bytes."""
        async with self._database.reading() as session:
            return await logs.page(session, task_id, after, size)

    async def transcript(self, task_id: uuid.UUID, window: Window) -> tuple[Sequence[TranscriptMessage], int]:
        """Some of what was recorded with the task's checkpoints, and how many messages there are."""
        async with self._database.reading() as session:
            found = await transcripts.window(session, task_id, window)
            return found, await transcripts.count(session, task_id)

    async def list(self, who: Identity, wanted: Wanted | None = None) -> Listed:
        """The organisation's tasks that are wanted, newest first where no other order is."""
        async with self._database.reading() as session:
            return await listing.listed(session, who, wanted or Wanted())

    async def each(
        self, who: Identity, task_ids: Sequence[uuid.UUID], do: Callable[[TaskView], Awaitable[T]]
    ) -> Sequence[T | PavoError]:
        """Do the same to several tasks, some at a time; for each, in their order, its answer or what refused it."""
        some = asyncio.Semaphore(AT_ONCE)

        async def one(task_id: uuid.UUID) -> T | PavoError:
            async with some:
                try:
                    return await do(await self.get(who, task_id))
                except PavoError as error:
                    return error
                except Exception:
                    # Logged and told of this one: the others go on, and who asked is to learn what became of them.
                    logger.exception("What was asked of task %s, among others, failed in an unforeseen way", task_id)
                    return InternalError(
                        "Pavo could not do this because of a fault of its own.",
                        remedy=f"Repeat it; if it fails again, look in the API's log for {task_id}.",
                    )

        return await asyncio.gather(*(one(task_id) for task_id in task_ids))

    async def start(self, view: TaskView) -> Started:
        """Start the task's workflow, once however often it is asked for.

        Raises:
            WrongStage: the task is stopped, failed or done.
        """
        task = view.task
        if task.stage in (d.DONE, *d.RESUMABLE):
            raise WrongStage(
                f"The task is {task.stage}, it was started before.",
                field="stage",
                remedy="Resume it." if task.stage in d.RESUMABLE else d.FOLLOW_IT_UP,
            )
        if task.stage in d.ACTIVE:
            return Started(task.workflow_id, task.run_id, True)
        run_id = await self._commands.start(run_of(task), quick=await self._agents.is_quick(task.agent_type))
        if run_id is None:
            return await self._started_before(task)
        await self._statements.note_run(task.id, run_id)
        return Started(task.workflow_id, run_id, False)

    async def _started_before(self, task: TaskRow) -> Started:
        is_open = await self._commands.is_open(run_of(task))
        task = (await self._reread(task.id)).task
        if is_open or task.stage != d.INIT:
            return Started(task.workflow_id, task.run_id, True)
        # It was ended from outside before it wrote anything. It had the first generation, so what still works for it
        # is fenced by the second.
        resumed = await self._commands.resume(replace(run_of(task), generation=1))
        return Started(task.workflow_id, resumed.run_id, resumed.already_running)

    async def resume(self, view: TaskView) -> Started:
        """Go on where the task was stopped or failed; on a running task nothing happens.

        Raises:
            WrongStage: never started, or done.
        """
        for attempt in range(RESUME_TRIES):
            task = (await self._reread(view.task.id) if attempt else view).task
            if task.stage in (d.INIT, d.DONE):
                remedy = "Start it." if task.stage == d.INIT else d.FOLLOW_IT_UP
                raise WrongStage(f"The task is {task.stage}, there is nothing to resume.", field="stage", remedy=remedy)
            try:
                # A running one is asked as well: it knows whether a stop is on its way.
                resumed = await self._commands.resume(run_of(task), running=task.stage in d.ACTIVE)
                return Started(task.workflow_id, resumed.run_id, resumed.already_running)
            except Stopping:
                if attempt == RESUME_TRIES - 1:
                    raise
                await asyncio.sleep(RESUME_PAUSE_SECONDS)
        raise Stopping("The run is still ending.", remedy="Repeat the command.")

    async def stop(self, view: TaskView) -> d.Receipt | StopPending:
        """Stop whatever runs; on a task that does not run nothing happens, and the receipt says so."""
        task = view.task
        if task.stage == d.DONE:
            return await self._stop_done(view)
        if task.stage in d.RESUMABLE and not await self._commands.is_open(run_of(task)):
            return _standing_receipt(view)  # else a resume was taken that no worker has shown yet
        return await self._stop_open(task)

    async def _stop_done(self, view: TaskView) -> d.Receipt | StopPending:
        """One that was followed up must not begin after this."""
        async with self._database.reading() as session:
            if await follow_up.rests(session, view.task.id):
                return _standing_receipt(view)
        async with self._database.transaction() as session:
            row = await repository.lock_task(session, view.task.id)
            stopped = None if row is None else await follow_up.stop(session, row)
        if stopped is None:
            return await self.stop(await self._reread(view.task.id))
        receipt, recorded = stopped
        self._publisher.publish(recorded)
        return receipt

    async def _stop_open(self, task: TaskRow) -> d.Receipt | StopPending:
        await self._hint(task.id)
        run = run_of(task)

        async def signal() -> None:
            """Durable: it happens whatever becomes of the update, of this process and of the workers."""
            await self._commands.signal_stop(run)
            # Once more: a worker that came meanwhile took the first hint for a false alarm.
            await self._hint(task.id)

        try:
            return await self._commands.stop(run, not_taken=signal)
        except NoSuchRun:
            return await self._stopped_closed(task)
        except OutcomeUnknown as unknown:
            return StopPending(unknown.detail, unknown.extra["reason"])

    async def _stopped_closed(self, sent: TaskRow) -> d.Receipt | StopPending:
        """The answer of a stop that found no run open.

        Args:
            sent: the task as it was when the stop was sent: a run of a later generation is another one.
        """
        view = await self._reread(sent.id)
        if view.task.stage in d.ACTIVE and view.task.generation != sent.generation:
            return await self.stop(view)
        if view.task.stage in d.ACTIVE:
            await self._stop_lost(view.task)
            view = await self._reread(sent.id)
        return _standing_receipt(view)

    async def _reread(self, task_id: uuid.UUID) -> TaskView:
        view = await self._statements.find_task(task_id)
        if view is None:
            raise unknown_task(task_id)
        return view

    async def _stop_lost(self, task: TaskRow) -> None:
        """The workflow was ended from outside: write what it can no longer write, unless a resume was quicker."""
        await self._recorder.record_stop(c.RecordStop(str(task.id), after(task), step_cut=task.stage != d.WAIT_RFC))

    async def _hint(self, task_id: uuid.UUID) -> None:
        """Make a stop quick; it works without."""
        try:
            async with self._database.transaction() as session:
                await lease.hint_stop(session, task_id)
            await self._redis.publish(STOP_CHANNEL, str(task_id))
        except (Unavailable, *REDIS_AWAY) as error:
            logger.info("The stop of task %s goes without its hint: %s", task_id, error)

    async def delete(self, view: TaskView) -> None:
        """Stop the task and remove it, and what it has delegated; their streams end."""
        task_id = view.task.id
        if view.task.stage not in (d.DONE, *d.RESUMABLE):
            stopped = await self.stop(view)
            if isinstance(stopped, StopPending):
                raise Unavailable(
                    f"The task must be stopped first. {stopped.detail}",
                    dependency="worker",
                    retry_after=2,
                    reason=stopped.reason,
                )
        await self._delete_children(task_id)
        async with self._database.transaction() as session:
            task = await repository.lock_task(session, task_id)
            if task is None:
                return
            if task.stage in d.ACTIVE:
                raise Unavailable("The task was just resumed by somebody else.", dependency="worker")
            recorded = await removal.bury(session, task_id)
        self._publisher.publish(recorded)
        deltas.forget(self._publisher, task_id)
        await removal.begin(self._database, task_id)

    async def _delete_children(self, task_id: uuid.UUID) -> None:
        """What a task delegated goes with it, and before it: a deletion that breaks off is repeated with the task."""
        async with self._database.reading() as session:
            found = await delegations.children(session, task_id)
        for child_id in found:
            view = await self._statements.find_task(child_id)
            if view is not None:
                await self.delete(view)


def _row(task_id: uuid.UUID, who: Identity, new: TaskCreate, options: dict[str, object]) -> TaskRow:
    return TaskRow(
        id=task_id,
        organisation_id=who.organisation_id,
        created_by=who.user_id,
        title=new.title,
        prompt=new.prompt,
        agent_type=new.agent_type,
        agent_options=options,
        step_seconds=new.step_seconds,
        auto_accept=new.auto_accept,
        stage=d.INIT,
        phase=d.PHASE_PLANNING,
        workflow_id=d.workflow_id(who.user_id, task_id, new.agent_type),
    )


def _standing_receipt(view: TaskView) -> d.Receipt:
    task = view.task
    if task.receipt and task.stage == d.STOPPED:
        return d.Receipt(**task.receipt)
    return d.standing_at(task.stage, view.step)


def unknown_task(task_id: uuid.UUID) -> NotFound:
    """Said alike of what does not exist, is deleted, or is somebody else's."""
    return NotFound(f"There is no task {task_id}.", field="task_id", remedy="Look at the list of your tasks.")
