"""HTTP of triggers: parse, call one service method, return."""

import uuid
from datetime import timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response

from pavo.accounts.dependencies import Caller
from pavo.kit.problem import problems
from pavo.starts.schemas import State
from pavo.triggers.dependencies import TheReceiving, TheTriggers
from pavo.triggers.presenters import firing_page, taken_out, trigger_out, with_secret
from pavo.triggers.schemas import (
    TakenOut,
    TriggerCreate,
    TriggerFiringPage,
    TriggerList,
    TriggerOut,
    TriggerPause,
    TriggerRotate,
    TriggerWithSecretOut,
)

router = APIRouter(prefix="/api/triggers", tags=["triggers"], responses=problems(401, 422))
ONE = "/{trigger_id}"


@router.post("", status_code=201, operation_id="create_trigger", responses=problems(404, 409))
async def create_trigger(
    triggers: TheTriggers, response: Response, who: Caller, new: TriggerCreate
) -> TriggerWithSecretOut:
    """Make a trigger, which starts a task, a coding job or a flow. Its secret is shown this once."""
    view, secret = await triggers.create(who, new)
    response.headers["Location"] = f"/api/triggers/{view.row.id}"
    return with_secret(view, secret)


@router.get("", operation_id="list_triggers", responses=problems(404))
async def list_triggers(
    triggers: TheTriggers, who: Caller, organisation_id: Annotated[uuid.UUID | None, Query()] = None
) -> TriggerList:
    """The triggers of your organisations, or of one, by name."""
    return TriggerList(items=[trigger_out(each) for each in await triggers.all_of(who, organisation_id)])


_SIGNED: Final[dict[str, Any]] = {
    "security": [],  # the signature is what it asks for
    "requestBody": {"required": True, "content": {"application/json": {"schema": {"title": "Message"}}}},
}


@router.post(ONE, status_code=202, operation_id="fire_trigger", responses=problems(409, 413), openapi_extra=_SIGNED)
async def fire_trigger(receiving: TheReceiving, request: Request, trigger_id: uuid.UUID) -> TakenOut:
    """Send a message, signed by a secret of the trigger: as Standard Webhooks says (`webhook-id`,
    `webhook-timestamp`, `webhook-signature`), or by `X-Hub-Signature-256`. Sent again, it answers the same."""
    return taken_out(await receiving.take(trigger_id, request.headers, await request.body()))


@router.get(ONE, operation_id="get_trigger", responses=problems(404))
async def get_trigger(triggers: TheTriggers, who: Caller, trigger_id: uuid.UUID) -> TriggerOut:
    """One trigger."""
    return trigger_out(await triggers.get(who, trigger_id))


@router.delete(ONE, status_code=204, operation_id="delete_trigger", responses=problems(404))
async def delete_trigger(triggers: TheTriggers, who: Caller, trigger_id: uuid.UUID) -> None:
    """Remove a trigger with its firings; what it started stays."""
    await triggers.remove(who, trigger_id)


@router.post(f"{ONE}/pause", operation_id="pause_trigger", responses=problems(404))
async def pause_trigger(triggers: TheTriggers, who: Caller, trigger_id: uuid.UUID, why: TriggerPause) -> TriggerOut:
    """Have it start nothing: its messages are refused, and ends go by."""
    return trigger_out(await triggers.pause(who, trigger_id, why.reason))


@router.post(f"{ONE}/resume", operation_id="resume_trigger", responses=problems(404))
async def resume_trigger(triggers: TheTriggers, who: Caller, trigger_id: uuid.UUID) -> TriggerOut:
    """Have it go on; from then on it acts for you."""
    return trigger_out(await triggers.resume(who, trigger_id))


@router.post(f"{ONE}/rotate", operation_id="rotate_trigger", responses=problems(404, 409))
async def rotate_trigger(
    triggers: TheTriggers, who: Caller, trigger_id: uuid.UUID, wanted: TriggerRotate | None = None
) -> TriggerWithSecretOut:
    """Make a new secret; those before it count for a while still."""
    overlap = timedelta(seconds=(wanted or TriggerRotate.model_validate({})).overlap_seconds)
    return with_secret(*await triggers.rotate(who, trigger_id, overlap))


@router.get(f"{ONE}/firings", operation_id="list_trigger_firings", responses=problems(404))
async def list_trigger_firings(
    triggers: TheTriggers,
    who: Caller,
    trigger_id: uuid.UUID,
    state: Annotated[list[State] | None, Query(max_length=5)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> TriggerFiringPage:
    """What became of messages and ends, newest first."""
    return firing_page(await triggers.firings(who, trigger_id, state or (), cursor, limit))
