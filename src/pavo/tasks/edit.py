"""Use case: change what a task is given - title, prompt, options, limit - while nothing works on it."""

import uuid
from dataclasses import dataclass
from typing import Final

from pavo.accounts.domain import Identity
from pavo.agents.importing import Imports
from pavo.errors import WrongStage
from pavo.kit.sql import Database
from pavo.tasks import domain as d
from pavo.tasks import events
from pavo.tasks.schemas import TaskEdit
from pavo.tasks.service import unknown_task
from pavo.tasks.sql import repository
from pavo.tasks.sql.models import TaskRow
from pavo.tasks.sql.transitions.edit_input import TaskInput, edit_input
from pavo.timeline import service as timeline
from pavo.timeline.publish import Publisher

_REMEDIES: Final = {
    d.DONE: d.FOLLOW_IT_UP,
    **dict.fromkeys(d.ACTIVE, "Stop the task, edit it, then resume it."),
}


@dataclass(frozen=True, slots=True)
class Edited:
    """What an edit came to."""

    changed: tuple[str, ...]
    """The members that are different now; empty where all were so before."""
    replanned: bool
    """Whether the task returns to planning and review."""


class EditService:
    """Changes tasks' input. Whose the task is has been seen before."""

    def __init__(self, database: Database, publisher: Publisher, agents: Imports) -> None:
        self._database = database
        self._publisher = publisher
        self._agents = agents

    async def edit(self, who: Identity, task_id: uuid.UUID, agent_type: str, change: TaskEdit) -> Edited:
        """Change it; the same once more changes nothing, in any stage.

        The row is locked, as it is where a run begins: a start or resume that comes first has the edit refused, one
        that comes after it reads what was edited.

        Raises:
            WrongStage: the task runs, waits for a review or is done; nothing was changed.
            InvalidInput, TooLarge: options that the agent's schema does not take.
            NotFound: the task was deleted meanwhile.
            Unavailable: the agent's import takes long.
        """
        if change.agent_options is not None:
            await self._agents.known(agent_type)  # before the row is locked
        async with self._database.transaction() as session:
            task = await repository.lock_task(session, task_id)
            if task is None:
                raise unknown_task(task_id)
            before, wanted = TaskInput.of(task), self._wanted(task, change)
            changed = before.differs_from(wanted)
            if not changed:
                return Edited((), replanned=False)
            if task.stage not in d.EDITABLE:
                raise _too_late(task)
            superseded = await edit_input(session, task, wanted)
            options = before.changed_options(wanted)
            event = events.edited(changed, options, who.email, superseded=superseded)
            recorded = await timeline.append(session, task_id, [event])
        self._publisher.publish(recorded)
        return Edited(changed, replanned=superseded is not None)

    def _wanted(self, task: TaskRow, change: TaskEdit) -> TaskInput:
        options = task.agent_options
        if change.agent_options is not None:
            options = self._agents.registry.validate_options(task.agent_type, {**options, **change.agent_options})
        return TaskInput(
            title=task.title if change.title is None else change.title,
            prompt=task.prompt if change.prompt is None else change.prompt,
            agent_options=options,
            step_seconds=change.step_seconds if "step_seconds" in change.model_fields_set else task.step_seconds,
        )


def _too_late(task: TaskRow) -> WrongStage:
    return WrongStage(
        f"The task is {task.stage}: its input changes only while it is not started, stopped or failed.",
        field="stage",
        remedy=_REMEDIES[task.stage],
    )
