"""What endpoints of tasks need: the use cases, and the task itself, found for whoever is asking."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller, StreamCaller
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.sql.repository import TaskView
from pavo.tasks.use_cases import TaskUseCases
from pavo.timeline.domain import Subject


def _use_cases(request: Request) -> TaskUseCases:
    """Those that `api.create_app` put on the application."""
    found: TaskUseCases = request.app.state.services["task"]
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _tasks(request: Request) -> TaskService:
    return _use_cases(request).tasks


async def _review(request: Request) -> ReviewService:
    return _use_cases(request).review


async def own_task(request: Request, who: Caller, task_id: uuid.UUID) -> TaskView:
    """The task of the path.

    Raises:
        NotFound: unknown, deleted, or not theirs.
    """
    return await _use_cases(request).tasks.get(who, task_id)


async def watched_task(request: Request, who: StreamCaller, task_id: uuid.UUID) -> Subject:
    """The task of the path as the subject of a stream, deleted or not.

    Raises:
        NotFound: unknown, or not theirs.
    """
    return await _use_cases(request).tasks.watched(who, task_id)


TheTasks = Annotated[TaskService, Depends(_tasks)]
TheReview = Annotated[ReviewService, Depends(_review)]
OwnTask = Annotated[TaskView, Depends(own_task)]
WatchedTask = Annotated[Subject, Depends(watched_task)]
