"""What people say to a task, at any time: it is put where the agent will meet it, and never dropped."""

import uuid
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.people import Person, people_by_id
from pavo.errors import TooLarge, WrongStage
from pavo.gates.domain import Gate
from pavo.kit.ids import new_id
from pavo.kit.sql import Database
from pavo.runs import idempotency
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.commands import TaskCommands, run_of
from pavo.tasks.review import add_comment
from pavo.tasks.schemas import MAX_PROMPT, KeyedMessage
from pavo.tasks.service import TaskService, unknown_task
from pavo.tasks.sql import messages, repository
from pavo.tasks.sql.models import MessageRow, TaskRow
from pavo.tasks.sql.repository import TaskView
from pavo.tasks.sql.transitions import follow_up
from pavo.tasks.waits.follow_ups import FollowUps
from pavo.temporal.failures import NoSuchRun
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

MAX_MESSAGES = 1000
"""Of one task: what its agent reads at once."""
MAX_MESSAGE_BYTES = 1_000_000
"""Of all of them together, for the same reason."""


@dataclass(frozen=True, slots=True)
class Said:
    """A message, and who said it."""

    message: MessageRow
    author: Person


class TaskGates:
    """The owner of tasks' gates: see `gates.service.GateOwner`."""

    def __init__(self, tasks: TaskService, commands: TaskCommands) -> None:
        self._tasks = tasks
        self._commands = commands

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        """Have the task's workflow close the gate."""
        view = await self._tasks.get(who, gate.subject_id)
        try:
            await self._commands.answer_gate(run_of(view.task), gate.id, answer_id)
        except NoSuchRun as error:
            detail = f"Nothing waits for this answer: the task is {view.task.stage}."
            raise WrongStage(detail, field="stage", remedy="Resume the task if it is stopped.") from error


class ConversationService:
    """What people say to a task. Whose the task is has been seen before."""

    def __init__(self, database: Database, publisher: Publisher, follow_ups: FollowUps) -> None:
        self._database = database
        self._publisher = publisher
        self._follow_ups = follow_ups

    async def say(self, who: Identity, view: TaskView, body: str, key: str | None = None) -> tuple[Said, bool]:
        """Put it into the prompt, into the review, or before the agent; (message, whether it is new).

        A task that is done goes on with it. Once it is kept that happens, also where no worker or server of Temporal is
        there to begin it at once.

        Raises:
            TooLarge: prompt or messages would exceed their limits.
            IdempotencyMismatch: the key belongs to another request.
            Conflict: what the key has said was withdrawn.
        """
        row = MessageRow(id=new_id(), task_id=view.task.id, author_id=who.user_id, body=body)
        try:
            said, recorded = await self._store(who, row, key)
        except idempotency.Repeated as repeated:
            said, recorded, is_new = await self._repeated(repeated.subject_id), [], False
        else:
            is_new = True
            self._publisher.publish(recorded)
        if said.message.placed == d.FOLLOW_UP:
            await self._follow_ups.begin(view.task.id)
        return said, is_new

    async def _store(self, who: Identity, row: MessageRow, key: str | None) -> tuple[Said, list[Event]]:
        request = key and idempotency.request_of(key, "message", KeyedMessage(task_id=row.task_id, body=row.body))
        async with self._database.transaction() as session:
            if request:
                await idempotency.claim(session, who, request, row.id, task_id=row.task_id)
            task = await repository.lock_task(session, row.task_id)
            if task is None:
                raise unknown_task(row.task_id)
            recorded = await _place(session, who, task, row)
            session.add(row)
            author = (await people_by_id(session, [who.user_id]))[who.user_id]
        return Said(row, author), recorded

    async def _repeated(self, message_id: uuid.UUID) -> Said:
        async with self._database.reading() as session:
            row = await messages.said(session, message_id)
            if row is None:
                raise idempotency.gone("message")
            return Said(row, (await people_by_id(session, [row.author_id]))[row.author_id])


async def _place(session: AsyncSession, who: Identity, task: TaskRow, row: MessageRow) -> list[Event]:
    """Do what the message is for, in the caller's transaction, in which the task's row is locked."""
    plans = await repository.plans(session, task.id)
    placed = d.place_of_message(task.stage, task.phase, planned=bool(plans))
    row.placed = placed
    if placed == d.IN_REVIEW:
        return await add_comment(session, plans[0], row.author_id, row.body, comment_id=row.id)
    if placed == d.IN_PROMPT:
        await _extend_prompt(session, task, row.body)
    else:
        await _check_room(session, row)
    event = events.message(row.id, who.email, row.body, placed)
    if placed == d.FOLLOW_UP:
        recorded = await follow_up.say(session, task, event)
    else:
        recorded = await timeline.append(session, task.id, [event])
    row.seq = None if placed == d.IN_PROMPT else recorded[0].seq
    return recorded


async def _extend_prompt(session: AsyncSession, task: TaskRow, body: str) -> None:
    if len(task.prompt) + len(body) + 2 > MAX_PROMPT:
        detail = f"With this the prompt would have more than {MAX_PROMPT:,} characters."
        raise TooLarge(detail, field="body", remedy="Shorten it, or put what is long into the corpus.")
    await messages.extend_prompt(session, task, body)


async def _check_room(session: AsyncSession, row: MessageRow) -> None:
    count, size = await messages.amount(session, row.task_id)
    if count >= MAX_MESSAGES or size + len(row.body.encode()) > MAX_MESSAGE_BYTES:
        detail = (
            f"The task has {count:,} messages of {size:,} bytes: it takes {MAX_MESSAGES:,} of {MAX_MESSAGE_BYTES:,}."
        )
        remedy = "Stop the task, and say the rest to a new one."
        raise TooLarge(detail, field="body", remedy=remedy)
