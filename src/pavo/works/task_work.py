"""Tasks, as work that something else has done."""

import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel

from pavo.accounts.domain import Identity
from pavo.agents.importing import Imports
from pavo.errors import WrongStage
from pavo.tasks.domain import DONE, RESUMABLE
from pavo.tasks.schemas import TaskCreate
from pavo.tasks.service import TaskService
from pavo.tools.policies.checked import checked_of_task
from pavo.works.work import Outcome, Stages, read_body

Outcomes: TypeAlias = Callable[[uuid.UUID], Awaitable[Outcome]]


class TaskWork:
    """Tasks."""

    def __init__(self, tasks: TaskService, agents: Imports, stages: Stages, outcomes: Outcomes) -> None:
        self._tasks, self._agents, self._stages, self._outcomes = tasks, agents, stages, outcomes

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

    async def outcome(self, who: Identity, subject_id: uuid.UUID) -> Outcome:
        """Its report, or why it has none."""
        await self._tasks.get(who, subject_id)
        return await self._outcomes(subject_id)

    async def stop(self, who: Identity, subject_id: uuid.UUID) -> None:
        """Stop it."""
        await self._tasks.stop(await self._tasks.get(who, subject_id))
