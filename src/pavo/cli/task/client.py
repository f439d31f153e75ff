"""What the command line asks the API about tasks."""

import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from pavo.cli.api_client import ApiClient
from pavo.cli.inbox.client import InboxClient
from pavo.gates.schemas import GateOut
from pavo.tasks.schemas import (
    AnswerOut,
    DocumentList,
    DocumentOut,
    FeedbackOut,
    FeedbackPage,
    MessageOut,
    ReceiptOut,
    StartOut,
    TaskCreate,
    TaskEdit,
    TaskLogPage,
    TaskOut,
    TaskPage,
    Wanted,
)
from pavo.timeline.schemas import EventOut, EventPage
from pavo.transcripts.schemas import TranscriptPage

MAX_PAGE: Final = 200
"""The longest page of tasks that the API gives."""


class TaskClient:
    """Tasks of one user, over one connection to the API.

    Every method raises `PavoError`s as `ApiClient` does, and is repeated as that says where it takes effect once.
    """

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    @classmethod
    @contextmanager
    def from_environment(cls, url: str | None = None) -> Generator["TaskClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api)

    def create(self, new: TaskCreate) -> TaskOut:
        """Create a task; it does not run before `start`."""
        body = new.model_dump(mode="json")
        return self._api.ask(TaskOut, "POST", "/api/tasks", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def edit(self, task_id: uuid.UUID, change: TaskEdit) -> TaskOut:
        """Change what a task is given; what is None stays, except for a limit that is set to None."""
        named = change.model_dump(mode="json")
        body = {name: value for name, value in named.items() if value is not None or name in change.model_fields_set}
        return self._api.ask(TaskOut, "PATCH", f"/api/tasks/{task_id}", json=body)

    def start(self, task_id: uuid.UUID) -> StartOut:
        """Start a task."""
        return self._api.ask(StartOut, "POST", f"/api/tasks/{task_id}/start")

    def resume(self, task_id: uuid.UUID) -> StartOut:
        """Go on where the task was stopped or failed."""
        return self._api.ask(StartOut, "POST", f"/api/tasks/{task_id}/resume")

    def stop(self, task_id: uuid.UUID) -> ReceiptOut | None:
        """Stop a task; None when that is recorded, but no worker is there yet to do it."""
        response = self._api.repeat("POST", f"/api/tasks/{task_id}/stop")
        return None if response.status_code == 202 else ReceiptOut.model_validate_json(response.content)

    def delete(self, task_id: uuid.UUID) -> None:
        """Stop a task and remove it."""
        self._api.remove(f"/api/tasks/{task_id}")

    def get(self, task_id: uuid.UUID) -> TaskOut:
        """One task."""
        return self._api.ask(TaskOut, "GET", f"/api/tasks/{task_id}")

    def open_questions(self, view: TaskOut) -> "Sequence[GateOut]":
        """What people are asked by a task that waits."""
        if not view.stage_status.startswith("WAITING:"):
            return []
        return InboxClient(self._api).open_of(view.id)

    def list(self, wanted: Wanted | None = None) -> TaskPage:
        """A page of the organisation's tasks that are wanted, newest first where no other order is."""
        asked = (wanted or Wanted()).model_dump(exclude_defaults=True)
        return self._api.ask(TaskPage, "GET", "/api/tasks", params=asked)

    def newest(self, wanted: Wanted, limit: int) -> TaskPage:
        """The first of the organisation's tasks that are wanted, however many pages of the API that takes.

        Args:
            limit: how many; the API judges a number that fits one page, also one below 1.
        """
        page = self.list(wanted.model_copy(update={"limit": min(limit, MAX_PAGE)}))
        found, total = [*page.items], page.total
        while page.next_cursor is not None and len(found) < limit:
            more = {"limit": min(limit - len(found), MAX_PAGE), "cursor": page.next_cursor}
            page = self.list(wanted.model_copy(update=more))
            found += page.items
        return TaskPage(items=found, next_cursor=page.next_cursor, total=total)

    def documents(self, task_id: uuid.UUID) -> "list[DocumentOut]":
        """All versions of the plan, and the report, oldest first; of what was said about each the beginning."""
        path = f"/api/tasks/{task_id}/documents"
        page = self._api.ask(DocumentList, "GET", path)
        found = page.items
        while page.before is not None:
            page = self._api.ask(DocumentList, "GET", path, params={"before": str(page.before)})
            found = [*page.items, *found]
        return found

    def document(self, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentOut:
        """One document, with everything that was said about it."""
        return self.with_all_feedback(self._api.ask(DocumentOut, "GET", _document(task_id, document_id)))

    def with_all_feedback(self, found: DocumentOut) -> DocumentOut:
        """The document with the comments that its own answer has no room for."""
        items = found.feedback
        cursor = found.feedback_left and found.feedback_left.cursor
        while cursor is not None:
            path = f"{_document(found.task_id, found.id)}/feedback"
            page = self._api.ask(FeedbackPage, "GET", path, params={"cursor": cursor})
            items, cursor = [*items, *page.items], page.next_cursor
        return found.model_copy(update={"feedback": items, "feedback_left": None})

    def newest_plan(self, view: TaskOut) -> DocumentOut | None:
        """The plan's newest version, once there is one."""
        return self.document(view.id, view.plan.document_id) if view.plan is not None else None

    def report(self, task_id: uuid.UUID) -> DocumentOut | None:
        """The report, once there is one."""
        return next((found for found in self.documents(task_id) if found.kind == "REPORT"), None)

    def add_feedback(
        self, task_id: uuid.UUID, document_id: uuid.UUID, body: str, step: int | None = None
    ) -> FeedbackOut:
        """Comment on the plan. Sent once: two comments that read the same may both be meant."""
        path = f"{_document(task_id, document_id)}/feedback"
        response = self._api.send_once("POST", path, json={"body": body, "step": step})
        return FeedbackOut.model_validate_json(response.content)

    def say(self, task_id: uuid.UUID, body: str) -> MessageOut:
        """Say something to the task; the answer tells where it was put."""
        key = {"Idempotency-Key": uuid.uuid4().hex}
        return self._api.ask(MessageOut, "POST", f"/api/tasks/{task_id}/messages", json={"body": body}, headers=key)

    def withdraw_feedback(self, task_id: uuid.UUID, document_id: uuid.UUID, feedback_id: uuid.UUID) -> None:
        """Take a comment back."""
        self._api.remove(f"{_document(task_id, document_id)}/feedback/{feedback_id}")

    def accept(self, task_id: uuid.UUID, plan_hash: str, *, override: bool = False) -> AnswerOut:
        """Accept the plan with this hash; with `override` in spite of open comments."""
        body = {"hash": plan_hash, "override_feedback": True} if override else {"hash": plan_hash}
        return self._api.ask(AnswerOut, "POST", f"/api/tasks/{task_id}/plan/accept", json=body)

    def done_reviewing(self, task_id: uuid.UUID, plan_hash: str) -> AnswerOut:
        """End the review of this version: with feedback the agent revises the plan, without any it is accepted."""
        return self._api.ask(AnswerOut, "POST", f"/api/tasks/{task_id}/plan/done-reviewing", json={"hash": plan_hash})

    def log(self, task_id: uuid.UUID, after: int = 0) -> TaskLogPage:
        """What the task's agent printed after this chunk."""
        return self._api.ask(TaskLogPage, "GET", f"/api/tasks/{task_id}/logs", params={"after": after})

    def transcript(self, task_id: uuid.UUID, after: int = 0) -> TranscriptPage:
        """What the task's agent recorded after the message of this number."""
        return self._api.ask(TranscriptPage, "GET", f"/api/tasks/{task_id}/transcript", params={"after": after})

    def events(self, task_id: uuid.UUID, after: int = 0, limit: int = 200) -> EventPage:
        """Events after number `after`, oldest first."""
        return self._api.ask(EventPage, "GET", f"/api/tasks/{task_id}/events", params={"after": after, "limit": limit})

    def all_events(self, task_id: uuid.UUID) -> "list[EventOut]":
        """The whole timeline so far."""
        found: list[EventOut] = []
        while page := self.events(task_id, found[-1].seq if found else 0, 1000).items:
            found += page
        return found

    def stream(
        self, task_id: uuid.UUID, after: int = 0, beside: Callable[[str, str], None] | None = None
    ) -> Iterator[EventOut]:
        """Follow a task's events after number `after`, each once, in order, over any number of reconnects.

        Ends when the task is done or deleted; a stopped or failed task's stream stays open.

        Args:
            beside: is told what is said before it is recorded: `delta` or `superseded`, and the data.
        """
        path = f"/api/tasks/{task_id}/stream" + ("" if beside is None else "?deltas=true")
        return self._api.stream(path, EventOut.model_validate_json, after, beside)


def _document(task_id: uuid.UUID, document_id: uuid.UUID) -> str:
    return f"/api/tasks/{task_id}/documents/{document_id}"
