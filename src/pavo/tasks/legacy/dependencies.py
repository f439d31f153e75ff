"""What endpoints of the existing frontends' contract need: they name people and tasks in their own ways."""

import uuid
from typing import Annotated

from fastapi import Depends, Request
from pydantic import BeforeValidator

from pavo.accounts.dependencies import accounts_of, current_identity, maybe_identity
from pavo.accounts.domain import Identity
from pavo.errors import BadRequest, InvalidInput, NotAuthenticated
from pavo.tasks.dependencies import own_task
from pavo.tasks.sql.repository import TaskView

OptionalId = Annotated[uuid.UUID | None, BeforeValidator(lambda text: text or None)]
"""Pages also send `task_id=`, which is none."""


async def _visitor(request: Request) -> Identity | None:
    """Whoever the headers name, or nobody; these routes answer 400 where a header is malformed."""
    try:
        return await maybe_identity(request)
    except InvalidInput as error:
        raise BadRequest(error.detail, field=error.field, remedy=error.remedy) from error


async def _named(request: Request) -> Identity:
    """Whoever the headers name: these routes answer 400 to nobody (401 where tokens are needed)."""
    who = await _visitor(request)
    if who is not None:
        return who
    remedy = "Send X-User-Id or X-User-Email."
    if accounts_of(request).mode == "token":
        raise NotAuthenticated("Nobody proved who they are.", remedy="Open a session with POST /api/session.")
    raise BadRequest("The request says nothing about who sends it.", field="X-User-Id", remedy=remedy)


async def _asked_task(request: Request, task_id: OptionalId = None) -> TaskView | None:
    """The task of the query; without one nobody has to prove who they are."""
    return None if task_id is None else await own_task(request, await current_identity(request), task_id)


Visitor = Annotated[Identity | None, Depends(_visitor)]
Named = Annotated[Identity, Depends(_named)]
AskedTask = Annotated[TaskView | None, Depends(_asked_task)]
