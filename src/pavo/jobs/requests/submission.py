"""Submitting a job: what is asked for is checked, and put into the queue of its organisation."""

import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from pavo.accounts.domain import Identity
from pavo.errors import InvalidInput, NotFound, TooLarge
from pavo.jobs.repositories.domain import checked_branch
from pavo.jobs.repositories.service import chosen
from pavo.jobs.requests.domain import JobView
from pavo.jobs.requests.schemas import JobCreate
from pavo.jobs.requests.service import JobViews
from pavo.jobs.sql.queue import NewJob, enqueue
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.sql import Database
from pavo.runs import idempotency
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher
from pavo.usage.service import add_to_task

Look: TypeAlias = Callable[[uuid.UUID], Awaitable[None]]
MAX_TITLE: Final = 200
MAX_LABELS: Final = 20
MAX_OPTIONS_BYTES: Final = 32_000
LABEL: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,62}", re.ASCII)
PROGRAM: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}", re.ASCII)


class JobSubmission:
    """Submits jobs.

    Args:
        look: has the monitor of an organisation's queue look, after the commit.
    """

    def __init__(self, database: Database, publisher: Publisher, views: JobViews, look: Look) -> None:
        self._database, self._publisher = database, publisher
        self._views, self._look = views, look

    async def check(self, organisation_id: uuid.UUID, new: JobCreate) -> None:
        """See whether such a job could be submitted now.

        Raises:
            InvalidInput, TooLarge: as `submit`.
        """
        _checked(new)
        async with self._database.transaction() as session:
            await chosen(session, organisation_id, new.repository)

    async def submit(
        self, who: Identity, organisation_id: uuid.UUID, new: JobCreate, key: str | None = None
    ) -> tuple[JobView, bool]:
        """Queue a job; (job, whether it is new). With a key the same request submits once.

        Raises:
            InvalidInput, TooLarge: a value is none, or there is no such repository.
            IdempotencyMismatch: the key belongs to another request.
            Conflict: the job that the key submitted was deleted.
        """
        checked = _checked(new)
        try:
            job_id, recorded = await self._store(who, organisation_id, new, checked, key)
        except idempotency.Repeated as repeated:
            return await self._repeated(who, repeated.subject_id), False
        self._publisher.publish(recorded)
        await self._look(organisation_id)
        return await self._views.get(who, job_id), True

    async def _store(
        self, who: Identity, organisation_id: uuid.UUID, new: JobCreate, checked: Mapping[str, Any], key: str | None
    ) -> tuple[uuid.UUID, list[Event]]:
        async with self._database.transaction() as session:
            repository = await chosen(session, organisation_id, new.repository)
            base = checked["base_branch"] or repository.values.default_branch
            values: dict[str, Any] = {**checked, "base_branch": base, "repository_id": repository.id}
            job = NewJob(organisation_id=organisation_id, created_by=who.user_id, **values)
            recorded = await enqueue(session, job, who.email)
            await add_to_task(session, replace(who, organisation_id=organisation_id), job.id, new.budgets)
            if key is not None:
                wanted = new.model_copy(update={"repository": str(repository.id)})
                await idempotency.claim(session, who, idempotency.request_of(key, "job", wanted), job.id)
            return job.id, recorded

    async def _repeated(self, who: Identity, job_id: uuid.UUID) -> JobView:
        try:
            return await self._views.get(who, job_id)
        except NotFound as error:
            raise idempotency.gone("job") from error


def _checked(new: JobCreate) -> dict[str, Any]:
    """What `NewJob` is made of, without whose it is."""
    options = _options(new.options)
    _check_budgets(new, options)
    return {
        "title": _title(new),
        "prompt": new.prompt,
        "base_branch": checked_branch(new.base_branch, "base_branch") if new.base_branch is not None else None,
        "program": _program(new.program),
        "priority": new.priority,
        "labels": _labels(new.labels),
        "options": options,
        "review_plan": new.review_plan,
        "draft": new.draft,
        "max_attempts": new.max_attempts,
    }


def _check_budgets(new: JobCreate, options: Mapping[str, Any]) -> None:
    """They bound nothing where the program asks its models itself."""
    if new.budgets and options.get("gateway") is not True:
        raise InvalidInput(
            "The budgets bound nothing: the job's models are not asked through Pavo.",
            field="budgets",
            remedy='Send the option "gateway": true too (pavo job submit --gateway), or no budgets.',
        )


def _title(new: JobCreate) -> str:
    text = new.title if new.title is not None else new.prompt
    line = next((each.strip() for each in text.splitlines() if each.strip()), "")
    return line if len(line) <= MAX_TITLE else f"{line[: MAX_TITLE - 1]}…"


def _program(name: str) -> str:
    if not PROGRAM.fullmatch(name):
        remedy = "Name a profile that an agent has, such as codex; see: pavo agent list"
        raise InvalidInput(f"{name[:100]!r} is no name of a program.", field="program", remedy=remedy)
    return name


def _labels(labels: Sequence[str]) -> tuple[str, ...]:
    for label in labels:
        if not LABEL.fullmatch(label):
            remedy = "Use a letter or digit, then at most 62 letters, digits and _ . : / = - in ASCII."
            raise InvalidInput(f"{label[:100]!r} is no label.", field="labels", remedy=remedy)
    return tuple(sorted(set(labels)))


def _options(options: Mapping[str, Any]) -> dict[str, Any]:
    try:
        found, size = plain(dict(options))
    except NotStorable as error:
        raise InvalidInput(str(error), field="options", remedy="Send plain JSON, without NUL characters.") from error
    if size > MAX_OPTIONS_BYTES:
        remedy = f"Keep them under {MAX_OPTIONS_BYTES:,} bytes."
        raise TooLarge(f"The options have {size:,} bytes.", field="options", remedy=remedy)
    return found
