"""What is started, kind by kind: over the services of tasks and jobs, which do the same for people."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel, ValidationError

from pavo.accounts.domain import Identity
from pavo.agents.importing import Imports
from pavo.errors import InvalidInput, WrongStage
from pavo.jobs.domain import OVER as JOB_OVER
from pavo.jobs.requests.schemas import JobCreate
from pavo.jobs.requests.submission import JobSubmission
from pavo.jobs.service import JobService
from pavo.tasks.domain import DONE, RESUMABLE
from pavo.tasks.schemas import TaskCreate
from pavo.tasks.service import TaskService
from pavo.tools.policies.checked import checked_of_task

T = TypeVar("T", bound=BaseModel)
Stages: TypeAlias = Callable[[Sequence[uuid.UUID]], Awaitable[Mapping[uuid.UUID, str]]]
GONE: Final = "gone"
"""The outcome of what was deleted."""


class Work(Protocol):
    """One kind of what is started. Somebody acts in the organisation that is their home in their identity."""

    async def check(self, who: Identity, body: BaseModel) -> None:
        """See whether one could be made.

        Raises:
            InvalidInput, TooLarge, NotFound: what it would be refused for.
        """
        ...

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """Make one; with the same key it is the same one."""
        ...

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Begin it; one that was begun stays as it is."""
        ...

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Where these are; those that are gone are left out."""
        ...

    def is_over(self, stage: str) -> bool:
        """Whether nothing goes on in this stage."""
        ...

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Have it end; one that is over stays as it is."""
        ...


class TaskWork:
    """Tasks."""

    def __init__(self, tasks: TaskService, agents: Imports, stages: Stages) -> None:
        self._tasks, self._agents, self._stages = tasks, agents, stages

    async def check(self, who: Identity, body: BaseModel) -> None:
        """As a task is checked when it is created."""
        assert isinstance(body, TaskCreate)
        await self._agents.known(body.agent_type)
        self._agents.registry.validate_options(body.agent_type, body.agent_options)
        checked_of_task([each.model_dump() for each in body.policies])

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """A task."""
        view, _ = await self._tasks.create(who, read_body(TaskCreate, body), key)
        return view.task.id

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Start it."""
        try:
            await self._tasks.start(await self._tasks.get(who, subject_id))
        except WrongStage:
            return  # it was begun, and is over already

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Of tasks."""
        return await self._stages(subject_ids)

    def is_over(self, stage: str) -> bool:
        """Also one that is stopped or failed, though somebody may resume it."""
        return stage in (DONE, *RESUMABLE)

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Stop it."""
        await self._tasks.stop(await self._tasks.get(who, subject_id))


class JobWork:
    """Coding jobs."""

    def __init__(self, jobs: JobService, submission: JobSubmission) -> None:
        self._jobs, self._submission = jobs, submission

    async def check(self, who: Identity, body: BaseModel) -> None:
        """As a job is checked when it is submitted."""
        assert isinstance(body, JobCreate)
        await self._submission.check(who.organisation_id, body)

    async def make(self, who: Identity, body: Mapping[str, Any], key: str) -> uuid.UUID:
        """A job, which waits for an agent."""
        job, _ = await self._submission.submit(who, who.organisation_id, read_body(JobCreate, body), key)
        return job.id

    async def begin(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Its queue does."""

    async def stages(self, subject_ids: Sequence[uuid.UUID]) -> Mapping[uuid.UUID, str]:
        """Of jobs."""
        return await self._jobs.stages(subject_ids)

    def is_over(self, stage: str) -> bool:
        """Whether it is."""
        return stage in JOB_OVER

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Cancel it."""
        try:
            await self._jobs.cancel(who, subject_id)
        except WrongStage:
            return  # it is over


def read_body(model: type[T], body: Mapping[str, Any]) -> T:
    """What is kept of a schedule, as it is asked for.

    Raises:
        InvalidInput: it is none any more.
    """
    try:
        return model.model_validate(body)
    except ValidationError as error:
        remedy = "Change the schedule: say again what it is to start."
        raise InvalidInput(f"What is to be started is none any more: {error}", field="starts", remedy=remedy) from error


def acting_in(who: Identity, organisation_id: uuid.UUID) -> Identity:
    """The same person; what they make is this organisation's."""
    return replace(who, organisation_id=organisation_id)
