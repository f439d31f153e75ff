"""A client of Pavo's HTTP API for the command line: typed answers, typed errors, a stream that reconnects."""

import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

import httpx2
from pydantic import BaseModel

from pavo import errors
from pavo.cli.words import header_from
from pavo.deploy.model.state import DEFAULT_URL, find_api_url
from pavo.errors import ConfigurationError, NotFound, OutcomeUnknown, PavoError, Unavailable
from pavo.tasks.schemas import (
    AnswerOut,
    DocumentList,
    DocumentOut,
    FeedbackOut,
    ReceiptOut,
    StartOut,
    TaskCreate,
    TaskOut,
    TaskPage,
)
from pavo.timeline.schemas import EventOut, EventPage

PATIENCE_SECONDS: Final = 20.0
"""How long a command is repeated while the API or a worker restarts: a restart takes one or two."""
STREAM_SILENCE_SECONDS: Final = 25.0
"""The API sends a keep-alive every 10 s: two missed ones mean that the connection is dead."""
MAX_WAIT_SECONDS: Final = 2.0
"""Longest pause between two tries."""

Answer = TypeVar("Answer", bound=BaseModel)


def find_url(url: str | None = None, data_dir: Path | None = None) -> str:
    """The API's address: the one given, else as `find_api_url` finds it."""
    return (url or find_api_url(data_dir)).rstrip("/")


class Client:
    """One user's view of the API. Every method raises `PavoError`s: the API's own, or Unavailable.

    Commands that take effect once however often they are sent are repeated by themselves while the API or a
    worker restarts; not so before the API has answered at all, so that a missing stack is said at once.

    Args:
        url: the API's base address.
        token: an API token, sent as Bearer.
        user: dev mode: the e-mail address to act as; None is the API's default user.
        patience: seconds during which commands are repeated.
        transport: for tests.
    """

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        user: str | None = None,
        patience: float = PATIENCE_SECONDS,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.url = url
        self._patience = patience
        self._reached = False
        try:
            base = httpx2.URL(url)
        except httpx2.InvalidURL as error:
            raise _bad_url(url) from error
        if base.scheme not in ("http", "https") or not base.host:
            raise _bad_url(url)
        # A proxy set for the internet must not get what is meant for this machine.
        local = base.host in ("127.0.0.1", "localhost", "::1")
        self._http = httpx2.Client(
            base_url=base, headers=_identity(token, user), timeout=30.0, trust_env=not local, transport=transport
        )

    @classmethod
    def from_environment(cls, url: str | None = None) -> "Client":
        """As PAVO_URL, PAVO_TOKEN and PAVO_USER say.

        Raises:
            ConfigurationError: one of them cannot be sent.
        """
        return cls(find_url(url), token=header_from("PAVO_TOKEN"), user=header_from("PAVO_USER"))

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def create(self, new: TaskCreate) -> TaskOut:
        """Create a task; it does not run before `start`."""
        body = new.model_dump(mode="json")
        return self._ask(TaskOut, "POST", "/api/tasks", json=body, headers={"Idempotency-Key": uuid.uuid4().hex})

    def start(self, task_id: uuid.UUID) -> StartOut:
        """Start a task."""
        return self._ask(StartOut, "POST", f"/api/tasks/{task_id}/start")

    def resume(self, task_id: uuid.UUID) -> StartOut:
        """Go on where the task was stopped or failed."""
        return self._ask(StartOut, "POST", f"/api/tasks/{task_id}/resume")

    def stop(self, task_id: uuid.UUID) -> ReceiptOut | None:
        """Stop a task; None when that is recorded, but no worker is there yet to do it."""
        response = self._repeated("POST", f"/api/tasks/{task_id}/stop")
        return None if response.status_code == 202 else ReceiptOut.model_validate_json(response.content)

    def delete(self, task_id: uuid.UUID) -> None:
        """Stop a task and remove it."""
        try:
            self._repeated("DELETE", f"/api/tasks/{task_id}", gone_is_done=True)
        except _GoneMeanwhile:
            return

    def get(self, task_id: uuid.UUID) -> TaskOut:
        """One task."""
        return self._ask(TaskOut, "GET", f"/api/tasks/{task_id}")

    def list(self, *, stage: str | None = None, limit: int = 50, cursor: str | None = None) -> TaskPage:
        """A page of the organisation's tasks, newest first."""
        asked = {"stage": stage, "limit": limit, "cursor": cursor}
        return self._ask(TaskPage, "GET", "/api/tasks", params={k: v for k, v in asked.items() if v is not None})

    def documents(self, task_id: uuid.UUID) -> "list[DocumentOut]":
        """All versions of the plan, and the report, oldest first."""
        return self._ask(DocumentList, "GET", f"/api/tasks/{task_id}/documents").items

    def document(self, task_id: uuid.UUID, document_id: uuid.UUID) -> DocumentOut:
        """One document."""
        return self._ask(DocumentOut, "GET", f"/api/tasks/{task_id}/documents/{document_id}")

    def add_feedback(
        self, task_id: uuid.UUID, document_id: uuid.UUID, body: str, step: int | None = None
    ) -> FeedbackOut:
        """Comment on the plan. Sent once: two comments that read the same may both be meant."""
        path = f"/api/tasks/{task_id}/documents/{document_id}/feedback"
        response = self._send("POST", path, json={"body": body, "step": step})
        return FeedbackOut.model_validate_json(response.content)

    def accept(self, task_id: uuid.UUID, plan_hash: str) -> AnswerOut:
        """Accept the plan with this hash."""
        return self._ask(AnswerOut, "POST", f"/api/tasks/{task_id}/plan/accept", json={"hash": plan_hash})

    def done_reviewing(self, task_id: uuid.UUID, plan_hash: str) -> AnswerOut:
        """End the review of this version: with feedback the agent revises the plan, without any it is accepted."""
        return self._ask(AnswerOut, "POST", f"/api/tasks/{task_id}/plan/done-reviewing", json={"hash": plan_hash})

    def events(self, task_id: uuid.UUID, after: int = 0, limit: int = 200) -> EventPage:
        """Events after number `after`, oldest first."""
        return self._ask(EventPage, "GET", f"/api/tasks/{task_id}/events", params={"after": after, "limit": limit})

    def all_events(self, task_id: uuid.UUID) -> "list[EventOut]":
        """The whole timeline so far."""
        found: list[EventOut] = []
        while page := self.events(task_id, found[-1].seq if found else 0, 1000).items:
            found += page
        return found

    def organisation_id(self) -> uuid.UUID:
        """The organisation in which new tasks are created."""
        return self._ask(_Session, "GET", "/api/session").organisation_id

    def stream(self, task_id: uuid.UUID, after: int = 0) -> Iterator[EventOut]:
        """Follow a task's events after number `after`, each once, in order, over any number of reconnects.

        Ends when the task is done or deleted; a stopped or failed task's stream stays open.

        Raises:
            NotFound: no such task.
            Unavailable: the API was away for longer than the client's patience.
        """
        last, away_since, pause = after, time.monotonic(), 0.05
        while True:
            try:
                for event in self._connection(task_id, last):
                    # What comes twice after a reconnect is dropped here, so that nobody above has to count.
                    if event.seq > last:
                        last, pause = event.seq, 0.05
                        yield event
                    away_since = time.monotonic()
            except _Ended:
                return
            except (httpx2.TransportError, Unavailable) as error:
                if time.monotonic() - away_since > self._patience:
                    raise error if isinstance(error, PavoError) else self._away(error) from error
            time.sleep(pause)
            pause = min(pause * 2, MAX_WAIT_SECONDS)

    def _connection(self, task_id: uuid.UUID, last: int) -> Iterator[EventOut]:
        headers = {"Last-Event-ID": str(last)} if last else {}
        timeout = httpx2.Timeout(10.0, read=STREAM_SILENCE_SECONDS)
        with self._http.sse(f"/api/tasks/{task_id}/stream", headers=headers, timeout=timeout) as source:
            if source.response.status_code == 204:
                raise _Ended
            if source.response.is_error:
                source.response.read()
                raise error_of(source.response)
            self._reached = True
            for message in source:
                if message.data:
                    yield EventOut.model_validate_json(message.data)

    def _ask(self, kind: type[Answer], method: str, path: str, **request: Any) -> Answer:
        return kind.model_validate_json(self._repeated(method, path, **request).content)

    def _repeated(self, method: str, path: str, *, gone_is_done: bool = False, **request: Any) -> httpx2.Response:
        """Send until it is answered for certain, within the patience."""
        until, pause, unsure = time.monotonic() + self._patience, 0.1, False
        while True:
            try:
                return self._send(method, path, **request)
            except NotFound:
                if unsure and gone_is_done:
                    raise _GoneMeanwhile from None
                raise
            except Unavailable:
                if not self._reached or time.monotonic() > until:
                    raise
                unsure = True
            time.sleep(pause)
            pause = min(pause * 2, MAX_WAIT_SECONDS)

    def _send(self, method: str, path: str, **request: Any) -> httpx2.Response:
        try:
            response = self._http.request(method, path, **request)
        except httpx2.TransportError as error:
            raise self._away(error) from error
        self._reached = True
        if response.is_error:
            raise error_of(response)
        return response

    def _away(self, error: httpx2.TransportError) -> Unavailable:
        """A driver's error as Pavo's: was it sent or not?"""
        if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
            away = Unavailable(f"No API answers at {self.url}.", dependency="api")
            away.remedy = "Start one with: pavo up. Another one: --url or PAVO_URL."
            return away
        return OutcomeUnknown(f"The API at {self.url} broke off: {error or type(error).__name__}.", dependency="api")


class _Session(BaseModel):
    organisation_id: uuid.UUID


class _Ended(Exception):
    """The stream answered 204: nothing will follow."""


class _GoneMeanwhile(Exception):
    """A repeated deletion found nothing: an earlier try did it."""


def _identity(token: str | None, user: str | None) -> dict[bytes, bytes]:
    if token:
        return {b"Authorization": f"Bearer {token}".encode()}
    return {b"X-User-Email": user.encode()} if user else {}


def _bad_url(url: str) -> ConfigurationError:
    return ConfigurationError(f"{url!r} is no address of an API.", field="url", remedy=f"Give one like {DEFAULT_URL}.")


def error_of(response: httpx2.Response) -> PavoError:
    """The `PavoError` that problem details tell of; anything else that answers with an error is said as it is."""
    found = _problem(response)
    detail = str(found.pop("detail", None) or f"HTTP {response.status_code} {response.reason_phrase}")
    code, remedy, field = found.pop("code", None), found.pop("remedy", None), found.pop("field", None)
    kind = _kinds().get(str(code)) or _kind_of_status(response.status_code)
    extra = {name: value for name, value in found.items() if name not in ("type", "title", "status", "instance")}
    if issubclass(kind, Unavailable):
        retry_after = response.headers.get("Retry-After", "1")
        dependency = str(extra.pop("dependency", "api"))
        error: PavoError = kind(
            detail, dependency=dependency, retry_after=int(retry_after) if retry_after.isdigit() else 1, **extra
        )
        error.remedy = remedy or error.remedy
        return error
    return kind(detail, field=field, remedy=remedy, **extra)


def _problem(response: httpx2.Response) -> dict[str, Any]:
    if "json" not in response.headers.get("content-type", ""):
        return {}
    try:
        found: object = response.json()
    except ValueError:  # cut off in the middle
        return {}
    return dict(found) if isinstance(found, dict) else {}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]


def _kinds() -> dict[str, type[PavoError]]:
    return {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, PavoError)}


def _kind_of_status(status: int) -> type[PavoError]:
    if status in (502, 503, 504):
        return Unavailable
    return {401: errors.NotAuthenticated, 403: errors.Forbidden, 404: NotFound, 409: errors.Conflict}.get(
        status, PavoError
    )
