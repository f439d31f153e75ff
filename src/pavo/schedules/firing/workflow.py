"""What Temporal's schedules start: a workflow that writes a firing down, and ends."""

from typing import Final

from temporalio import workflow
from temporalio.common import SearchAttributeKey

with workflow.unsafe.imports_passed_through():
    from pavo.runs.story import SIGNAL_MOVE_ON, run_short_activity
    from pavo.schedules.firing.contracts import FIRE_TYPE, Fired, FiringActivities, Mirrored

NOMINAL: Final = SearchAttributeKey.for_datetime("TemporalScheduledStartTime")
"""Temporal's own: the time that the schedule names, without jitter and lateness."""


@workflow.defn(name=FIRE_TYPE)
class FireSchedule:
    """One firing. It ends within seconds, whatever it starts: that has a workflow of its own."""

    @workflow.run
    async def run(self, mirrored: Mirrored) -> None:
        """Have the firing written down, and what is due begun."""
        info = workflow.info()
        nominal = info.typed_search_attributes.get(NOMINAL) or info.start_time
        await run_short_activity(FiringActivities.fire, Fired(mirrored.schedule_id, mirrored.version, nominal))

    @workflow.signal(name=SIGNAL_MOVE_ON)
    def move_on(self) -> None:
        """It ends within seconds."""
