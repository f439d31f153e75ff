"""What endpoints of tasks are handed: the use cases, and the task of their path."""

import uuid
from typing import Annotated

from fastapi import Depends, Request

from pavo.accounts.dependencies import Caller, StreamCaller
from pavo.artifacts.service import ArtifactService
from pavo.tasks.conversation import ConversationService
from pavo.tasks.review import ReviewService
from pavo.tasks.service import TaskService
from pavo.tasks.sql.repository import TaskView
from pavo.tasks.use_cases import TaskUseCases
from pavo.timeline.domain import Subject


def use_cases(request: Request) -> TaskUseCases:
    """Those that `api.create_app` put on the application."""
    found: TaskUseCases = request.app.state.services["task"]
    return found


# All dependencies are coroutines: the framework runs plain functions in a thread, which costs more than they do.
async def _tasks(request: Request) -> TaskService:
    return use_cases(request).tasks


async def _review(request: Request) -> ReviewService:
    return use_cases(request).review


async def _conversation(request: Request) -> ConversationService:
    return use_cases(request).conversation


async def _artifacts(request: Request) -> ArtifactService:
    """The service that `api.create_app` put on the application."""
    return request.app.state.artifacts


async def own_task(request: Request, who: Caller, task_id: uuid.UUID) -> TaskView:
    """The task of the path.

    Raises:
        NotFound: unknown, deleted, or not theirs.
    """
    return await use_cases(request).tasks.get(who, task_id)


async def watched_task(request: Request, who: StreamCaller, task_id: uuid.UUID) -> Subject:
    """The task of the path as the subject of a stream, deleted or not.

    Raises:
        NotFound: unknown, or not theirs.
    """
    return await use_cases(request).tasks.watched(who, task_id)


TheTasks = Annotated[TaskService, Depends(_tasks)]
TheReview = Annotated[ReviewService, Depends(_review)]
TheConversation = Annotated[ConversationService, Depends(_conversation)]
TheArtifacts = Annotated[ArtifactService, Depends(_artifacts)]
OwnTask = Annotated[TaskView, Depends(own_task)]
WatchedTask = Annotated[Subject, Depends(watched_task)]
