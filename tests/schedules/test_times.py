"""When schedules are: as a real server of Temporal computes it, in the nights too in which clocks are changed."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.workflowservice.v1 import ListScheduleMatchingTimesRequest
from temporalio.client import Client, Schedule, ScheduleActionStartWorkflow, ScheduleState

from pavo.errors import InvalidInput
from pavo.schedules.mirror import specification
from pavo.schedules.times.compiled import compiled
from pavo.schedules.times.computing import first, following, is_one, upcoming
from pavo.schedules.times.spec import TimesSpec

NIGHTS = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),
    "America/St_Johns": ("2026-03-08", "2026-11-01"),
    "Pacific/Auckland": ("2026-09-27", "2026-04-05"),
    "Asia/Kathmandu": ("2026-06-01",),
    "UTC": ("2028-02-29",),
}
"""Days on which clocks are put forward and back."""
LINES = ("30 1 * * *", "30 2 * * *", "*/20 * * * *", "0 * * * *", "0 3 1-10,20-31 * *", "15 0,2,23 * * SUN,1")


def times_of(**spec: Any) -> Any:
    return compiled(TimesSpec.model_validate(spec))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


async def of_temporal(client: Client, spec: TimesSpec, since: datetime, until: datetime) -> list[datetime]:
    """What its server computes."""
    action = ScheduleActionStartWorkflow("Nothing", id="nothing", task_queue="nowhere")
    state = ScheduleState(paused=True)
    wanted = Schedule(action=action, spec=specification(compiled(spec)), state=state)
    handle = await client.create_schedule(f"times-{uuid.uuid4()}", wanted)
    moments = Timestamp(), Timestamp()
    for moment, text in zip(moments, (since, until), strict=True):
        moment.FromDatetime(text)
    request = ListScheduleMatchingTimesRequest(
        namespace=client.namespace, schedule_id=handle.id, start_time=moments[0], end_time=moments[1]
    )
    try:
        found = await client.workflow_service.list_schedule_matching_times(request)
        return [each.ToDatetime(tzinfo=UTC) for each in found.start_time]
    finally:
        await handle.delete()


@pytest.mark.parametrize("zone", NIGHTS)
async def test_times_are_those_of_temporal(temporal: Client, zone: str) -> None:
    for day in NIGHTS[zone]:
        since, until = at(day) - timedelta(days=1), at(day) + timedelta(days=2)
        for spec in (*({"cron": [line]} for line in LINES), {"intervals": [{"every": "50m", "offset": "7m"}]}):
            wanted = TimesSpec.model_validate({**spec, "time_zone": zone})
            mine = [*upcoming(compiled(wanted), since, until)]
            assert mine, (zone, day, spec)
            assert mine == [each for each in await of_temporal(temporal, wanted, since, until) if each > since], spec


async def test_all_that_can_be_said_is_as_temporal_computes_it(temporal: Client) -> None:
    spec = {
        "cron": ["0 9 * * MON-FRI"],
        "calendars": [{"hour": "*/6", "minute": "5,10", "second": "30", "month": "NOV-DEC", "year": "2026/2"}],
        "intervals": [{"every": "7h", "offset": "1h"}],
        "skip": [{"day_of_month": "26", "month": "NOV", "hour": "*", "minute": "*", "second": "*"}],
        "time_zone": "Europe/Berlin",
        "start": "2026-11-24T08:00:00Z",
        "end": "2026-12-02T08:00:00+01:00",
    }
    wanted = TimesSpec.model_validate(spec)
    since, until = at("2026-11-20"), at("2026-12-10")
    mine = [*upcoming(compiled(wanted), since, until)]
    assert mine == await of_temporal(temporal, wanted, since, until)
    assert len(mine) > 50 and not any(each.day == 26 for each in mine[5:10])
    assert mine[0] == at("2026-11-24T08:00:00") and all(each <= at("2026-12-02T07:00:00") for each in mine)


def test_clocks_that_are_changed() -> None:
    """What is skipped in spring does not come; what an evening shows twice comes twice west of Greenwich."""
    two = times_of(cron=["30 2 * * *"], time_zone="America/New_York")
    assert [f"{each:%d %H}" for each in first(two, at("2026-03-07T00:00"), 3)] == ["07 07", "09 06", "10 06"]
    one = times_of(cron=["30 1 * * *"], time_zone="America/New_York")
    assert [f"{each:%d %H}" for each in first(one, at("2026-11-01T00:00"), 3)] == ["01 05", "01 06", "02 06"]


def test_a_time_is_one_of_them_or_not() -> None:
    times = times_of(cron=["*/15 * * * *"])
    assert is_one(times, at("2026-11-27T10:15")) and not is_one(times, at("2026-11-27T10:16"))
    assert following(times_of(calendars=[{"day_of_month": "30", "month": "2"}]), at("2026-01-01")) is None
    assert following(times_of(cron=["@daily"], end="2026-01-01T00:00:00Z"), at("2026-01-01")) is None
    everything = {"hour": "*", "minute": "*", "second": "*"}
    assert following(times_of(intervals=[{"every": "1s"}], skip=[everything]), at("2026-01-01")) is None


@pytest.mark.parametrize(
    ("spec", "field", "remedy"),
    [
        ({}, "times", "cron, calendars and intervals"),
        ({"cron": ["0 25 * * *"]}, "times.cron[0]", "0 to 23"),
        ({"cron": ["@daily", "0 0 1 *"]}, "times.cron[1]", "Write five"),
        ({"cron": ["0 0 13 * FRI"]}, "times.cron[0]", "two lines"),
        ({"cron": ["0 0 * FOO *"]}, "times.cron[0]", "JAN"),
        ({"cron": ["0 0 L * *"]}, "times.cron[0]", "1 to 31"),
        ({"cron": ["*/0 * * * *"]}, "times.cron[0]", "0 to 59"),
        ({"cron": ["30-10 * * * *"]}, "times.cron[0]", "0 to 59"),
        ({"cron": ["٣ * * * *"]}, "times.cron[0]", "0 to 59"),
        ({"calendars": [{"year": "1970"}]}, "times.calendars[0].year", "2000"),
        ({"skip": [{"second": ""}], "cron": ["@daily"]}, "times.skip[0].second", "0 to 59"),
        ({"intervals": [{"every": "0s"}]}, "times.intervals[0].every", "second"),
        ({"intervals": [{"every": "1m", "offset": "1m"}]}, "times.intervals[0].offset", "less"),
        ({"cron": ["@daily"], "time_zone": "Mars/Base"}, "times.time_zone", "IANA"),
        ({"cron": ["@daily"], "time_zone": "../../etc/passwd"}, "times.time_zone", "IANA"),
        (
            {"cron": ["@daily"], "start": "2026-02-01T00:00:00Z", "end": "2026-01-01T00:00:00Z"},
            "times.end",
            "later",
        ),
    ],
)
def test_what_is_no_time_is_named_with_its_remedy(spec: dict[str, Any], field: str, remedy: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        times_of(**spec)
    assert refused.value.field == field and remedy in str(refused.value.remedy)
