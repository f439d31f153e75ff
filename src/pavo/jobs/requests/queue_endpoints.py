"""HTTP of an organisation's queue: parse, call one service method, return."""

from typing import Annotated

from fastapi import APIRouter, Query

from pavo.accounts.dependencies import OwnedOrganisation, OwnOrganisation
from pavo.jobs.dependencies import TheQueue
from pavo.jobs.queue.service import MAX_PAGE
from pavo.jobs.requests.queue_schemas import QueueEdit, QueueOut
from pavo.jobs.requests.queue_shown import queue_out
from pavo.kit.problem import problems

router = APIRouter(prefix="/api/orgs/{organisation_id}/queue", tags=["queue"], responses=problems(401, 404, 422))


@router.get("", operation_id="get_queue")
async def get_queue(
    queue: TheQueue,
    mine: OwnOrganisation,
    after: Annotated[int, Query(ge=0, le=2**31 - 1, description="The position behind which the page begins.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_PAGE)] = 100,
) -> QueueOut:
    """What is in progress and by whom, what waits in which order and why, and how many jobs are in each stage."""
    return queue_out(await queue.show(mine.organisation_id, after, limit))


@router.patch("", operation_id="edit_queue")
async def edit_queue(queue: TheQueue, owner: OwnedOrganisation, change: QueueEdit) -> QueueOut:
    """Say how many jobs are done at the same time. For owners."""
    await queue.limit(owner.organisation_id, change.at_once)
    return queue_out(await queue.show(owner.organisation_id))


@router.post("/pause", operation_id="pause_queue")
async def pause_queue(queue: TheQueue, mine: OwnOrganisation) -> QueueOut:
    """Begin no further job; those in progress go on. Twice is once."""
    await queue.pause(mine.organisation_id, mine.user_id)
    return queue_out(await queue.show(mine.organisation_id))


@router.post("/resume", operation_id="resume_queue")
async def resume_queue(queue: TheQueue, mine: OwnOrganisation) -> QueueOut:
    """Begin jobs again, at once. Twice is once."""
    await queue.resume(mine.organisation_id)
    return queue_out(await queue.show(mine.organisation_id))
