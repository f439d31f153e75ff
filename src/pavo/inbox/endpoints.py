"""HTTP of the inbox. `api.create_app` puts the service at `app.state.inbox`."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from pavo.accounts.dependencies import Caller
from pavo.inbox.schemas import InboxItem, InboxOut, InboxWanted
from pavo.inbox.service import InboxService
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/inbox", tags=["gates"], responses=problems(401, 422))


async def _inbox(request: Request) -> InboxService:
    found: InboxService = request.app.state.inbox
    return found


@router.get("", operation_id="list_inbox", responses=problems(404))
async def list_inbox(
    inbox: Annotated[InboxService, Depends(_inbox)], who: Caller, wanted: Annotated[InboxWanted, Query()]
) -> InboxOut:
    """What waits for people: open questions, approvals, plans under review, failures; those that wait longest first."""
    found = await inbox.page(who, wanted)
    items = [InboxItem.model_validate(each) for each in found.items]
    return InboxOut(items=items, next_cursor=found.next_cursor, total=found.total)
