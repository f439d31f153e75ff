"""HTTP of schedules: parse, call one service method, return."""

import uuid
from typing import Annotated

from fastapi import APIRouter, Header, Query, Response

from pavo.accounts.dependencies import Caller
from pavo.kit.problem import problems
from pavo.schedules.dependencies import TheBackfill, TheSchedules
from pavo.schedules.presenters import firing_out, firing_page, schedule_out
from pavo.schedules.schemas import (
    BackfillIn,
    BackfillOut,
    FiringOut,
    FiringPage,
    PauseIn,
    PreviewIn,
    PreviewOut,
    ScheduleCreate,
    ScheduleEdit,
    ScheduleList,
    ScheduleOut,
    State,
    TriggerIn,
)

router = APIRouter(prefix="/api/schedules", tags=["schedules"], responses=problems(401, 422))
ONE = "/{schedule_id}"


@router.post("", status_code=201, operation_id="create_schedule", responses=problems(404, 409))
async def create_schedule(schedules: TheSchedules, response: Response, who: Caller, new: ScheduleCreate) -> ScheduleOut:
    """Make a schedule, which starts a task or a coding job at its times."""
    view = await schedules.create(who, new)
    response.headers["Location"] = f"/api/schedules/{view.row.id}"
    return schedule_out(view)


@router.get("", operation_id="list_schedules", responses=problems(404))
async def list_schedules(
    schedules: TheSchedules, who: Caller, organisation_id: Annotated[uuid.UUID | None, Query()] = None
) -> ScheduleList:
    """The schedules of your organisations, or of one, by name."""
    return ScheduleList(items=[schedule_out(each) for each in await schedules.all_of(who, organisation_id)])


@router.post("/preview", operation_id="preview_schedule")
async def preview_schedule(schedules: TheSchedules, who: Caller, wanted: PreviewIn) -> PreviewOut:
    """When a schedule with these times would start something."""
    return PreviewOut(times=[*await schedules.preview(wanted.times, wanted.after, wanted.count)])


@router.get(ONE, operation_id="get_schedule", responses=problems(404))
async def get_schedule(schedules: TheSchedules, who: Caller, schedule_id: uuid.UUID) -> ScheduleOut:
    """One schedule, with its next ten times."""
    return schedule_out(await schedules.get(who, schedule_id))


@router.patch(ONE, operation_id="edit_schedule", responses=problems(404, 409))
async def edit_schedule(
    schedules: TheSchedules, who: Caller, schedule_id: uuid.UUID, edit: ScheduleEdit
) -> ScheduleOut:
    """Change a schedule; from then on it acts for you."""
    return schedule_out(await schedules.change(who, schedule_id, edit))


@router.delete(ONE, status_code=204, operation_id="delete_schedule", responses=problems(404))
async def delete_schedule(schedules: TheSchedules, who: Caller, schedule_id: uuid.UUID) -> None:
    """Remove a schedule with its firings; what it started stays."""
    await schedules.delete(who, schedule_id)


@router.post(f"{ONE}/pause", operation_id="pause_schedule", responses=problems(404))
async def pause_schedule(schedules: TheSchedules, who: Caller, schedule_id: uuid.UUID, why: PauseIn) -> ScheduleOut:
    """Have it start nothing by itself."""
    return schedule_out(await schedules.pause(who, schedule_id, why.reason))


@router.post(f"{ONE}/resume", operation_id="resume_schedule", responses=problems(404))
async def resume_schedule(schedules: TheSchedules, who: Caller, schedule_id: uuid.UUID) -> ScheduleOut:
    """Have it go on with its next time; those of the pause can be back-filled."""
    return schedule_out(await schedules.resume(who, schedule_id))


@router.post(f"{ONE}/trigger", operation_id="trigger_schedule", responses=problems(404))
async def trigger_schedule(
    schedules: TheSchedules,
    who: Caller,
    schedule_id: uuid.UUID,
    wanted: TriggerIn,
    idempotency_key: Annotated[str | None, Header()] = None,
) -> FiringOut:
    """Start it now. With an Idempotency-Key it starts once however often that is sent."""
    return firing_out(await schedules.trigger(who, schedule_id, wanted.overlap, idempotency_key))


@router.post(f"{ONE}/backfill", operation_id="backfill_schedule", responses=problems(404, 409))
async def backfill_schedule(
    backfill: TheBackfill, who: Caller, schedule_id: uuid.UUID, wanted: BackfillIn
) -> BackfillOut:
    """Show exactly which times of the past would start; sent again with their hash, they do.

    Each time starts once: those that have something under way are left out.
    """
    return BackfillOut.model_validate(await backfill.backfill(who, schedule_id, wanted))


@router.get(f"{ONE}/firings", operation_id="list_firings", responses=problems(404))
async def list_firings(
    schedules: TheSchedules,
    who: Caller,
    schedule_id: uuid.UUID,
    state: Annotated[list[State] | None, Query(max_length=5)] = None,
    cursor: str | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> FiringPage:
    """What became of its times, newest first."""
    return firing_page(await schedules.firings(who, schedule_id, state or (), cursor, limit))
