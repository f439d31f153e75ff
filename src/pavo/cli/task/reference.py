"""Which task a command means."""

import uuid
from typing import Annotated

from cyclopts import Parameter

from pavo.cli.task.client import TaskClient
from pavo.errors import InvalidInput, NotFound
from pavo.tasks.schemas import TaskOut, Wanted

TaskRef = Annotated[str, Parameter(help="The task's id, the beginning or end of it, or: last.")]
TaskOption = Annotated[
    str | None, Parameter(name="--task", help="A task: its id, the beginning or end of it, or: last.")
]


def resolve(tasks: TaskClient, ref: str) -> TaskOut:
    """The task that `ref` means: an id, the beginning or the end of one among the newest 200, or "last".

    Raises:
        NotFound: there is none.
        InvalidInput: it could mean several.
    """
    try:
        return tasks.get(uuid.UUID(ref))
    except ValueError:
        pass  # not a whole id
    if len(ref) < 4:
        raise InvalidInput(f"{ref!r} is too short for a task's id.", field="TASK", remedy="Give 4 characters at least.")
    newest = tasks.list(Wanted(limit=1 if ref == "last" else 200)).items
    found = [view for view in newest if ref == "last" or str(view.id).startswith(ref) or str(view.id).endswith(ref)]
    if not found:
        raise NotFound(f"There is no task {ref!r}.", field="TASK", remedy="See them with: pavo task list")
    if len(found) > 1:
        raise InvalidInput(f"{ref!r} may be {len(found)} tasks.", field="TASK", remedy="Give more of the id.")
    return tasks.get(found[0].id)  # lists leave out what is long
