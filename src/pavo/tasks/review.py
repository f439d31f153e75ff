"""Use cases of the plan's review: documents, feedback, accepting."""

import uuid
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.domain import Identity
from pavo.accounts.people import Person, people_by_id
from pavo.errors import InvalidInput, NotFound, UnaddressedFeedback, WrongPlanHash, WrongStage
from pavo.kit.ids import new_id
from pavo.kit.pagination import Cursor
from pavo.kit.sql import Database
from pavo.tasks import contracts as c
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.commands import OPEN_FEEDBACK, TaskCommands, run_of
from pavo.tasks.sql import messages, repository
from pavo.tasks.sql.models import DocumentRow, FeedbackRow, TaskRow
from pavo.tasks.sql.repository import TaskView
from pavo.temporal.failures import NoSuchRun
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

MAX_FEEDBACK_ITEMS = 500
"""Of one version of a plan: more than anybody reads. So many of the longest are handed to an agent's process in one
message, and fit into it."""


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment, and whose it is."""

    feedback: FeedbackRow
    author: Person


@dataclass(frozen=True, slots=True)
class CommentPage:
    """Comments on a document, oldest first; a page ends by its bytes as well as by their count."""

    items: list[Comment]
    left: int
    """How many follow."""
    open_left: int
    """How many of these no revision has answered."""

    @property
    def cursor(self) -> str | None:
        """Where they begin."""
        last = self.items[-1].feedback if self.left else None
        return last and Cursor(last.created_at, last.id).encode()


@dataclass(frozen=True, slots=True)
class DocumentView:
    """A document and what was said about it."""

    document: DocumentRow
    feedback: CommentPage
    """The first page."""
    accepted_by: Person | None
    """The user; None where it was none, or one who was not kept (`DocumentRow.accepted_by` tells more)."""


DOCUMENTS_OF_A_PAGE: Final = 100


class ReviewService:
    """What people do with a task's documents. Whose the task is has been seen before."""

    def __init__(self, database: Database, publisher: Publisher, commands: TaskCommands) -> None:
        self._database = database
        self._publisher = publisher
        self._commands = commands

    async def documents(
        self, task_id: uuid.UUID, limit: int = DOCUMENTS_OF_A_PAGE, before: uuid.UUID | None = None
    ) -> tuple[list[DocumentView], bool]:
        """The newest versions of the plan and the report, or those before one of them, oldest first; and whether there
        are older ones. A page ends by its bytes as well as by `limit`."""
        async with self._database.reading() as session:
            first = before and _found(await repository.document(session, task_id, before), before)
            rows, older = await repository.documents(session, task_id, limit=limit, before=first or None)
            return [await _document_view(session, row) for row in rows], older

    async def document(self, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentView:
        """One of them."""
        async with self._database.reading() as session:
            row = _found(await repository.document(session, task_id, document_id), document_id)
            return await _document_view(session, row)

    async def add_feedback(
        self, who: Identity, task_id: uuid.UUID, document_id: uuid.UUID, body: str, step: int | None = None
    ) -> Comment:
        """Comment on the plan, or on one of its steps.

        Raises:
            WrongStage: the plan is not under review (any more): nothing was added.
            InvalidInput: the plan has no such step.
        """
        async with self._database.transaction() as session:
            document = await self._under_review(session, task_id, document_id)
            steps = len(document.content["steps"])
            if step is not None and step > steps:
                raise InvalidInput(
                    f"The plan has {steps} steps.", field="step", remedy=f"Name a step from 1 to {steps}."
                )
            comment_id = new_id()
            recorded = await add_comment(session, document, who.user_id, body, comment_id=comment_id, step=step)
            comment = await _comment(session, await session.get_one(FeedbackRow, comment_id))
        self._publisher.publish(recorded)
        return comment

    async def comment(self, task_id: uuid.UUID, document_id: uuid.UUID, feedback_id: uuid.UUID) -> Comment:
        """One comment on a document.

        Raises:
            NotFound: there is none, or it was withdrawn.
        """
        async with self._database.reading() as session:
            _found(await repository.document(session, task_id, document_id), document_id)
            return await _comment(session, await _feedback(session, document_id, feedback_id))

    async def comments(
        self, task_id: uuid.UUID, document_id: uuid.UUID, limit: int, cursor: str | None = None
    ) -> CommentPage:
        """The comments on a document, or those of the next page."""
        after = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            _found(await repository.document(session, task_id, document_id), document_id)
            return await _comments(session, document_id, limit, after)

    async def edit_feedback(
        self, task_id: uuid.UUID, document_id: uuid.UUID, feedback_id: uuid.UUID, body: str
    ) -> Comment:
        """Change a comment while the plan is under review."""
        async with self._database.transaction() as session:
            row = await self._comment_under_review(session, task_id, document_id, feedback_id)
            await repository.edit_feedback(session, row, body)
            recorded = await timeline.append(session, task_id, [events.feedback(document_id, feedback_id, edited=True)])
            comment = await _comment(session, row)
        self._publisher.publish(recorded)
        return comment

    async def withdraw_feedback(self, task_id: uuid.UUID, document_id: uuid.UUID, feedback_id: uuid.UUID) -> None:
        """Take a comment back while the plan is under review: later a revision is addressing it."""
        async with self._database.transaction() as session:
            row = await self._comment_under_review(session, task_id, document_id, feedback_id)
            await session.delete(row)
            await messages.forget(session, feedback_id)
            new = events.feedback(document_id, feedback_id, withdrawn=True)
            recorded = await timeline.append(session, task_id, [new])
        self._publisher.publish(recorded)

    async def _comment_under_review(
        self, session: AsyncSession, task_id: uuid.UUID, document_id: uuid.UUID, feedback_id: uuid.UUID
    ) -> FeedbackRow:
        await self._under_review(session, task_id, document_id)
        return await _feedback(session, document_id, feedback_id)

    async def accept(self, who: Identity, view: TaskView, plan_hash: str, *, override: bool = False) -> c.Answer:
        """Accept the plan with this hash; accepting it once more changes nothing.

        Args:
            override: in spite of comments that no revision has answered.

        Raises:
            WrongPlanHash, UnaddressedFeedback, WrongStage: refused, nothing changed.
        """
        self._check_hash(view, plan_hash)
        if view.plan is not None and view.plan.status == repository.ACCEPTED:
            return c.Answer(c.ACCEPTED, current_hash=plan_hash)
        seen = await self._check_feedback(view, override=override)
        answer = _answer_of(who, plan_hash, override=override)
        try:
            return await self._commands.accept(run_of(view.task), answer, seen=seen)
        except NoSuchRun as error:
            raise _not_waiting(view.task) from error

    async def accept_latest(self, who: Identity, view: TaskView) -> c.Answer:
        """Accept whatever version is current."""
        if view.plan is None:
            raise _not_waiting(view.task)
        return await self.accept(who, view, view.plan.hash)

    async def done_reviewing(
        self,
        who: Identity,
        view: TaskView,
        *,
        document_id: uuid.UUID | None = None,
        plan_hash: str | None = None,
    ) -> c.Answer:
        """End the review: with unaddressed feedback the agent revises, without any the plan is accepted.

        Args:
            document_id, plan_hash: the version that was reviewed, by either; where none is named, the current one. Of
                a version that was revised already the review is over, and nothing happens: a second click never
                answers a version that nobody has seen.

        Raises:
            WrongPlanHash, WrongStage, NotFound: refused, nothing changed.
        """
        if view.plan is None:
            raise _not_waiting(view.task)
        current = view.plan
        if document_id not in (None, current.document_id) or plan_hash not in (None, current.hash):
            return await self._reviewed_before(view, document_id, plan_hash)
        if view.task.stage == d.PLANNING and current.status == repository.LOCKED:
            return c.Answer(c.REVISING, current_hash=current.hash)
        if view.plan.status == repository.ACCEPTED:
            return c.Answer(c.ACCEPTED, current_hash=view.plan.hash)
        try:
            return await self._commands.done_reviewing(run_of(view.task), _answer_of(who, view.plan.hash))
        except NoSuchRun as error:
            raise _not_waiting(view.task) from error

    async def _reviewed_before(self, view: TaskView, document_id: uuid.UUID | None, plan_hash: str | None) -> c.Answer:
        assert view.plan is not None
        async with self._database.reading() as session:
            if document_id is not None:
                plan = _found(await repository.document(session, view.task.id, document_id), document_id)
            else:
                plan = await repository.plan_by_hash(session, view.task.id, plan_hash or "")
        under_way = view.task.stage in (d.PLANNING, d.WAIT_RFC)
        if plan is None or plan.status != repository.LOCKED or not under_way:
            raise _superseded(view)
        return c.Answer(c.REVISING, current_hash=view.plan.hash)

    @staticmethod
    def _check_hash(view: TaskView, plan_hash: str) -> None:
        if view.plan is None:
            raise _not_waiting(view.task)
        if view.plan.hash != plan_hash:
            raise _superseded(view)

    async def _check_feedback(self, view: TaskView, *, override: bool) -> int:
        """Answered from the row, so that the refusal does not need a worker; the workflow checks again.

        The newest event that was seen with it.
        """
        assert view.plan is not None
        async with self._database.reading() as session:
            open_items, seen = await repository.open_and_seen(session, view.task.id, view.plan.document_id)
        if open_items and not override:
            raise UnaddressedFeedback(d.unanswered(open_items), remedy=OPEN_FEEDBACK)
        return seen

    async def _under_review(self, session: AsyncSession, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentRow:
        task = await repository.lock_task(session, task_id)
        document = _found(await repository.document(session, task_id, document_id), document_id)
        if task is None or task.stage != d.WAIT_RFC or document.status != repository.REVIEW:
            raise WrongStage(
                f"This document takes no feedback now: it is {document.status}.",
                field="stage",
                remedy="Comment on the version that is under review.",
            )
        return document


async def _feedback(session: AsyncSession, document_id: uuid.UUID, feedback_id: uuid.UUID) -> FeedbackRow:
    row = await session.get(FeedbackRow, feedback_id)
    if row is None or row.document_id != document_id:
        raise NotFound(
            f"There is no feedback {feedback_id}.", field="feedback_id", remedy="Read the document: it lists them."
        )
    return row


async def _comment(session: AsyncSession, row: FeedbackRow) -> Comment:
    return Comment(row, (await people_by_id(session, [row.author_id]))[row.author_id])


async def _document_view(session: AsyncSession, row: DocumentRow) -> DocumentView:
    people = await people_by_id(session, [row.accepted_by_id])
    accepted_by = people.get(row.accepted_by_id) if row.accepted_by_id else None
    return DocumentView(row, await _comments(session, row.id, MAX_FEEDBACK_ITEMS), accepted_by)


async def _comments(
    session: AsyncSession, document_id: uuid.UUID, limit: int, after: Cursor | None = None
) -> CommentPage:
    rows, left, open_left = await repository.feedback_page(session, document_id, limit=limit, after=after)
    people = await people_by_id(session, [row.author_id for row in rows])
    return CommentPage([Comment(row, people[row.author_id]) for row in rows], left, open_left)


async def add_comment(
    session: AsyncSession,
    document: DocumentRow,
    author_id: uuid.UUID,
    body: str,
    *,
    comment_id: uuid.UUID,
    step: int | None = None,
) -> list[Event]:
    """Comment on a plan whose task's row is locked; the events to publish.

    Raises:
        InvalidInput: the plan has as many comments as it takes.
    """
    if await repository.count_feedback(session, document.id) >= MAX_FEEDBACK_ITEMS:
        raise InvalidInput(
            f"The plan has {MAX_FEEDBACK_ITEMS} feedback items already.",
            field="body",
            remedy="Finish this review, or edit the items that are there.",
        )
    task_id = document.task_id
    row = FeedbackRow(
        id=comment_id, task_id=task_id, document_id=document.id, author_id=author_id, body=body, step=step
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return await timeline.append(session, task_id, [events.feedback(document.id, comment_id)])


def _answer_of(who: Identity, plan_hash: str, *, override: bool = False) -> c.AcceptPlan:
    """By id alone, for histories outlive the task: a worker reads the address where it writes it down."""
    return c.AcceptPlan(plan_hash, str(who.user_id), str(who.user_id), override)


def _found(row: DocumentRow | None, document_id: uuid.UUID) -> DocumentRow:
    if row is None:
        raise NotFound(f"There is no document {document_id}.", field="document_id", remedy="List the task's documents.")
    return row


def _superseded(view: TaskView) -> WrongPlanHash:
    assert view.plan is not None
    return WrongPlanHash(
        d.superseded(view.plan.version),
        field="hash",
        remedy="Read the current plan and accept its hash.",
        current_hash=view.plan.hash,
    )


def _not_waiting(task: TaskRow) -> WrongStage:
    return WrongStage(
        f"No plan is waiting for an answer: the task is {task.stage}.",
        field="stage",
        remedy="Wait until the stage is WAIT_RFC; resume the task if it is stopped.",
    )
