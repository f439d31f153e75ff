"""A task's input is changed while no run is under way; what was made from the former prompt is superseded.

One way only: it is rare, and the caller holds the row's lock. No fence is written: the next run has a higher generation
than every write of before, and reads what stands here.
"""

from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Table, func, null, update
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.tasks import domain as d
from pavo.tasks.sql import lease, repository
from pavo.tasks.sql.models import DocumentRow, ExecutionRow, TaskRow

_TASKS: Table = TaskRow.__table__  # pyright: ignore[reportAssignmentType]
_DOCUMENTS: Table = DocumentRow.__table__  # pyright: ignore[reportAssignmentType]
_EXECUTIONS: Table = ExecutionRow.__table__  # pyright: ignore[reportAssignmentType]


@dataclass(frozen=True, slots=True)
class TaskInput:
    """What an agent is given."""

    title: str
    prompt: str
    agent_options: dict[str, Any]
    step_seconds: float | None

    @classmethod
    def of(cls, task: TaskRow) -> "TaskInput":
        """As the row has it."""
        return cls(task.title, task.prompt, task.agent_options, task.step_seconds)

    def differs_from(self, other: "TaskInput") -> tuple[str, ...]:
        """The names of the members that differ."""
        return tuple(name for name, value in asdict(self).items() if value != getattr(other, name))

    def changed_options(self, other: "TaskInput") -> dict[str, Any]:
        """The other one's options that differ from this one's."""
        before = self.agent_options
        return {k: v for k, v in other.agent_options.items() if k not in before or before[k] != v}

    def asks(self) -> str:
        """What a plan is made from: the prompt, and where there is none the title."""
        return self.prompt or self.title


async def edit_input(session: AsyncSession, task: TaskRow, wanted: TaskInput) -> int | None:
    """Write the input of a task whose row is locked; the version of the plan that is superseded by that, 0 if there was
    none to supersede, None where the plan still holds."""
    holds = TaskInput.of(task).asks() == wanted.asks()
    values = {**asdict(wanted), **({} if holds else _planned_anew(task))}
    await session.execute(update(_TASKS).where(_TASKS.c.id == task.id).values(updated_at=func.pavo_now(), **values))
    return None if holds else await _supersede(session, task)


def _planned_anew(task: TaskRow) -> dict[str, Any]:
    receipt = task.receipt
    if receipt is not None:
        outlook = d.resume_outlook(d.PLANNING, receipt["last_step"], step_cut=False)
        receipt = {**receipt, "resume": outlook}
    return {"phase": d.PHASE_PLANNING, "receipt": receipt, "edits": d.edits_after(task.stage, task.edits)}


async def _supersede(session: AsyncSession, task: TaskRow) -> int:
    """Every plan stays in the record, and none of them can be accepted or executed any more."""
    plans = await repository.plans(session, task.id)
    if not plans:
        return 0
    of_task = _DOCUMENTS.c.task_id == task.id, _DOCUMENTS.c.kind == repository.PLAN
    await session.execute(update(_DOCUMENTS).where(*of_task).values(status=repository.LOCKED))
    await lease.raise_epoch(session, task.id, forget_deaths=True)
    # A checkpoint is the state of work on the plan of before.
    begun = {"step": 0, "progress": 0, "total": None, "plan_step": None, "checkpoint": null(), "failure": null()}
    await session.execute(update(_EXECUTIONS).where(_EXECUTIONS.c.task_id == task.id).values(**begun))
    return plans[0].version
