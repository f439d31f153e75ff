"""Schedules from the outside: made, fired by Temporal, paused, changed, triggered, back-filled, deleted."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from pavo.config import Settings
from pavo.kit.sql import Database
from pavo.runs.schedules import remove_schedule
from pavo.schedules import domain as d
from pavo.schedules import repository
from pavo.schedules.mirror import Mirror
from pavo.schedules.watching import ScheduleRows
from tests.clock import Clock
from tests.driving import until
from tests.jobs.organisations import Person
from tests.schedules.scheduling import HOURLY, IN_REVIEW, TASK, Schedules, somebody

EVERY_SECOND = {"intervals": [{"every": "1s"}]}
YEARLY = {"cron": ["@yearly"]}


def settled(found: list[Any]) -> bool:
    return all(each["state"] in ("started", "skipped", "failed") for each in found)


async def test_a_task_starts_at_each_time_once(schedules: Schedules) -> None:
    made = await schedules.create(times=EVERY_SECOND, overlap="ALLOW_ALL")
    assert made["in_step"] and made["version"] == 1 and len(made["next"]) == 10 and made["kind"] == "task"
    await schedules.until(made["id"], lambda all_: sum(each["state"] == "started" for each in all_) >= 2)
    paused = await schedules.ask("POST", f"/{made['id']}/pause", json={"reason": "enough"})
    assert paused["paused"]["reason"] == "enough" and paused["paused"]["by"] == paused["acts_for"]
    found = await schedules.until(made["id"], settled)
    moments = [each["nominal_at"] for each in found]
    assert len(set(moments)) == len(moments) and all(each["reason"] == "schedule" for each in found)
    subjects = [each["subject_id"] for each in found if each["state"] == "started"]
    assert len(set(subjects)) == len(subjects)
    tasks = (await schedules.client.get("/api/tasks", params={"limit": 200})).json()["items"]
    assert set(subjects) == {each["id"] for each in tasks}
    assert {each["title"] for each in tasks} == {TASK["task"]["title"]}
    await schedules.until(
        made["id"], lambda all_: all(each["outcome"] == "DONE" for each in all_ if each["subject_id"])
    )


async def test_jitter_is_none_of_the_time_that_is_written_down(schedules: Schedules) -> None:
    """What a firing is known by is what the schedule says, so a late start is the same firing."""
    made = await schedules.create(times={**EVERY_SECOND, "intervals": [{"every": "3s"}], "jitter": "2s"})
    found = await schedules.until(made["id"], lambda all_: len(all_) >= 2)
    for each in found:
        moment = datetime.fromisoformat(each["nominal_at"])
        assert moment.microsecond == 0 and int(moment.timestamp()) % 3 == 0, each
    await schedules.ask("DELETE", f"/{made['id']}", status=204)


async def test_a_changed_schedule_goes_by_what_it_says_now(schedules: Schedules, temporal: Client) -> None:
    made = await schedules.create(times=YEARLY)
    edit = {"times": EVERY_SECOND, "version": 1, "overlap": "ALLOW_ALL", "name": "often", "starts": IN_REVIEW}
    changed = await schedules.ask("PATCH", f"/{made['id']}", json=edit)
    assert (changed["version"], changed["name"], changed["in_step"]) == (2, "often", True)
    refused = await schedules.ask("PATCH", f"/{made['id']}", status=409, json=edit)
    assert refused["field"] == "version"
    await schedules.until(made["id"], lambda all_: any(each["state"] == "started" for each in all_))
    await schedules.ask("PATCH", f"/{made['id']}", json={"times": YEARLY})
    found = await schedules.until(made["id"], settled)
    for each in found:
        if each["subject_id"]:
            task = (await schedules.client.get(f"/api/tasks/{each['subject_id']}")).json()
            assert not task["auto_accept"], "what it starts since it was changed"


async def test_a_paused_schedule_is_triggered_and_goes_on(schedules: Schedules, temporal: Client) -> None:
    made = await schedules.create(times=EVERY_SECOND, paused="not yet", overlap="ALLOW_ALL")
    assert made["paused"]["reason"] == "not yet"
    path = f"/{made['id']}/trigger"
    one = await schedules.ask("POST", path, json={}, headers={"Idempotency-Key": "a"})
    same = await schedules.ask("POST", path, json={}, headers={"Idempotency-Key": "a"})
    other = await schedules.ask("POST", path, json={})
    assert one["id"] == same["id"] != other["id"]
    assert {one["reason"], other["reason"]} == {"trigger"} and one["subject_id"] != other["subject_id"]
    assert len(await schedules.firings(made["id"])) == 2, "nothing starts by itself"
    resumed = await schedules.ask("POST", f"/{made['id']}/resume")
    assert resumed["paused"] is None
    await schedules.until(made["id"], lambda all_: any(each["reason"] == "schedule" for each in all_))
    await schedules.ask("DELETE", f"/{made['id']}", status=204)


async def test_a_task_that_is_reviewed_is_open(schedules: Schedules) -> None:
    """SKIP means the task, not the short workflow that starts it; CANCEL_OTHER stops it."""
    made = await schedules.create(times=YEARLY, starts=IN_REVIEW)
    path = f"/{made['id']}/trigger"
    first = await schedules.ask("POST", path, json={})
    second = await schedules.ask("POST", path, json={})
    assert (first["state"], second["state"]) == ("started", "skipped") and first["subject_id"] in second["told"]
    await schedules.ask("POST", path, json={"overlap": "BUFFER_ONE"})
    third = await schedules.ask("POST", path, json={"overlap": "CANCEL_OTHER"})
    found = await schedules.until(made["id"], lambda all_: all_[3]["state"] == "started")
    assert third["id"] == found[3]["id"] and found[0]["outcome"] == "STOPPED"


async def test_back_fills_show_the_dates_first_and_start_each_once(schedules: Schedules) -> None:
    made = await schedules.create(times=HOURLY, paused="for now")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    wanted = {"since": (now - timedelta(hours=3)).isoformat(), "until": now.isoformat()}
    path = f"/{made['id']}/backfill"
    shown = await schedules.ask("POST", path, json=wanted)
    assert [datetime.fromisoformat(each) for each in shown["times"]] == [
        now - timedelta(hours=hours) for hours in (3, 2, 1, 0)
    ]
    assert not shown["written"] and await schedules.firings(made["id"]) == []
    await schedules.ask("POST", path, status=409, json={**wanted, "hash": "0" * 64})
    written = await schedules.ask("POST", path, json={**wanted, "hash": shown["hash"]})
    assert written["written"] and written["times"] == shown["times"]
    await schedules.ask("POST", path, status=409, json={**wanted, "hash": shown["hash"]})
    found = await schedules.until(made["id"], lambda all_: len(all_) == 4 and all(each["outcome"] for each in all_))
    assert {each["reason"] for each in found} == {"backfill"} and {each["outcome"] for each in found} == {"DONE"}
    assert (await schedules.ask("POST", path, json=wanted))["times"] == []
    assert (await schedules.ask("POST", path, json={**wanted, "which": "failed"}))["times"] == []
    all_ = await schedules.ask("POST", path, json={**wanted, "which": "all"})
    assert all_["times"] == shown["times"]
    again = {**wanted, "which": "all", "hash": all_["hash"]}
    await schedules.ask("POST", path, json=again)
    more = await schedules.until(made["id"], lambda all_: all(each["outcome"] for each in all_))
    assert len(more) == 4 and {each["attempt"] for each in more} == {2}
    assert not {each["subject_id"] for each in more} & {each["subject_id"] for each in found}
    assert (await schedules.ask("POST", path, status=422, json={"since": "2999-01-01T00:00:00Z"}))["field"] == "since"
    much = {"since": "2020-01-01T00:00:00Z"}
    assert "too large" in (await schedules.ask("POST", path, status=413, json=much))["title"]


async def test_what_failed_is_back_filled_alone(schedules: Schedules) -> None:
    made = await schedules.create(times=HOURLY, starts=IN_REVIEW, overlap="SKIP", paused="for now")
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    wanted = {"since": (now - timedelta(hours=1)).isoformat(), "until": now.isoformat(), "overlap": "ALLOW_ALL"}
    path = f"/{made['id']}/backfill"
    await schedules.ask("POST", path, json={**wanted, "hash": (await schedules.ask("POST", path, json=wanted))["hash"]})
    found = await schedules.until(made["id"], lambda all_: len(all_) == 2 and settled(all_))
    await schedules.client.post(f"/api/tasks/{found[0]['subject_id']}/stop")
    await schedules.until(made["id"], lambda all_: all_[0]["outcome"] == "STOPPED")
    shown = await schedules.ask("POST", path, json={**wanted, "which": "failed"})
    assert [datetime.fromisoformat(each) for each in shown["times"]] == [now - timedelta(hours=1)]


async def test_a_coding_job_is_submitted(owner: Person, schedules: Schedules) -> None:
    repository_ = {"name": "acme/site", "clone_url": "https://git.example.com/site.git"}
    await owner.post("repositories", status=201, **repository_)
    mine = Schedules(owner.client)
    job = {"job": {"repository": "acme/site", "prompt": "Bring the dependencies up to date", "program": "codex"}}
    refused = await schedules.create(status=422, starts=job)
    assert refused["field"] == "repository", "of another organisation"
    made = await mine.create(times=YEARLY, starts=job)
    first = await mine.ask("POST", f"/{made['id']}/trigger", json={})
    assert (first["kind"], first["state"]) == ("job", "started")
    found = (await owner.client.get(f"/api/jobs/{first['subject_id']}")).json()
    assert found["stage"] == "QUEUED" and found["prompt"] == job["job"]["prompt"]
    last = await mine.ask("POST", f"/{made['id']}/trigger", json={"overlap": "TERMINATE_OTHER"})
    assert last["state"] == "started" and last["subject_id"] != first["subject_id"]
    assert (await owner.client.get(f"/api/jobs/{first['subject_id']}")).json()["stage"] == "CANCELLED"


async def test_what_others_have_is_not_there(schedules: Schedules, stack: str) -> None:
    made = await schedules.create(times=YEARLY)
    async with somebody(stack) as other:
        for method, path, body in (
            ("GET", "", None),
            ("PATCH", "", {"name": "mine"}),
            ("DELETE", "", None),
            ("POST", "/pause", {"reason": "no"}),
            ("POST", "/resume", None),
            ("POST", "/trigger", {}),
            ("POST", "/backfill", {"since": "2026-01-01T00:00:00Z"}),
            ("GET", "/firings", None),
        ):
            answer = await other.ask(method, f"/{made['id']}{path}", status=404, json=body)
            assert answer["field"] == "schedule_id"
        assert await other.ask("GET") == {"items": []}
        whose = {"organisation_id": made["organisation_id"]}
        await other.ask("GET", status=404, params=whose)
        await other.create(status=404, **whose)
    assert [each["name"] for each in (await schedules.ask("GET"))["items"]] == [made["name"]]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"times": {"cron": ["0 0 31 2 *"]}}, "times"),
        ({"times": {"cron": ["61 * * * *"]}}, "times.cron[0]"),
        ({"times": {"cron": ["@daily"], "jitter": "0.5s"}}, "times.jitter"),
        ({"times": {"cron": ["@daily"], "time_zone": "Nowhere"}}, "times.time_zone"),
        ({"starts": {}}, "starts"),
        ({"starts": {**TASK, "job": {"repository": "x", "prompt": "x", "program": "x"}}}, "starts"),
        ({"starts": {"task": {"title": "x", "agent_type": "nobody"}}}, "agent_type"),
        ({"starts": {"task": {"title": "x", "agent_options": {"steps": "many"}}}}, "agent_options.steps"),
        ({"starts": {"task": {"title": ""}}}, "starts.task.title"),
        ({"overlap": "SOMETIMES"}, "overlap"),
        ({"name": "../x"}, "name"),
        ({"catch_up": "soon"}, "catch_up"),
        ({"paused": " "}, "paused"),
    ],
)
async def test_bad_input_names_the_field_and_makes_nothing(schedules: Schedules, wrong: Any, field: str) -> None:
    answer = await schedules.create(status=422, **wrong)
    assert answer["field"].removeprefix("body.") == field, answer
    assert await schedules.ask("GET") == {"items": []}


async def test_a_name_is_taken_once(schedules: Schedules) -> None:
    made = await schedules.create(name="nightly", times=YEARLY)
    assert (await schedules.create(name="nightly", times=YEARLY, status=409))["field"] == "name"
    other = await schedules.create(name="weekly", times=YEARLY)
    assert (await schedules.ask("PATCH", f"/{other['id']}", status=409, json={"name": "nightly"}))["field"] == "name"
    await schedules.ask("DELETE", f"/{made['id']}", status=204)
    await schedules.create(name="nightly", times=YEARLY)


async def test_times_are_shown_before_there_is_a_schedule(schedules: Schedules) -> None:
    wanted = {"times": {"cron": ["0 9 * * MON-FRI"], "time_zone": "Europe/Berlin"}, "after": "2026-11-27T12:00:00Z"}
    found = await schedules.ask("POST", "/preview", json={**wanted, "count": 2})
    assert found["times"] == ["2026-11-30T08:00:00Z", "2026-12-01T08:00:00Z"]


@pytest.fixture
def rows(database: Database, temporal: Client, settings: Settings) -> ScheduleRows:
    """The second line, as a worker has it."""
    return ScheduleRows(database, Mirror(database, temporal, settings.temporal.task_queue))


async def test_mirrors_are_put_right(
    schedules: Schedules, rows: ScheduleRows, database: Database, temporal: Client, settings: Settings, clock: Clock
) -> None:
    """Of a row that was written while Temporal was away; removed or resumed by hand; without a row."""
    queue = settings.temporal.task_queue
    late, *_ = made = [await schedules.create(times=YEARLY, paused="for now") for _ in range(3)]
    mirrors = [temporal.get_schedule_handle(d.mirror_id(queue, uuid.UUID(each["id"]))) for each in made]
    for handle in mirrors[:2]:
        await remove_schedule(temporal, handle.id)
    async with database.transaction() as session:
        await repository.mirrored(session, uuid.UUID(late["id"]), 0)
    assert not (await schedules.ask("GET", f"/{late['id']}"))["in_step"]
    await mirrors[2].unpause()
    await clock.forward(timedelta(minutes=2))

    async def all_right() -> bool:
        await rows.go_on()
        try:
            return all([(await each.describe()).schedule.state.paused for each in mirrors])
        except RPCError:
            return False

    await until(all_right)
    assert (await schedules.ask("GET", f"/{late['id']}"))["in_step"]
    async with database.transaction() as session:
        for each in made:
            assert await repository.drop(session, uuid.UUID(each["id"]))

    async def all_gone() -> bool:
        await rows.go_on()
        for each in mirrors:
            try:
                await each.describe()
            except RPCError:
                continue
            return False
        return True

    await until(all_gone)


async def test_what_nothing_started_in_time_is_caught_up_or_counted(
    schedules: Schedules, rows: ScheduleRows, clock: Clock
) -> None:
    """The clock leaps ahead by five hours, and Temporal has told of none of these times."""
    made = await schedules.create(times=HOURLY, catch_up="2h", overlap="BUFFER_ALL")
    begun = await clock.now()
    await clock.forward(timedelta(hours=5, minutes=2))
    for _ in range(2):
        await rows.look()
    found = await schedules.until(made["id"], lambda all_: len(all_) >= 2 and all(each["outcome"] for each in all_))
    assert {each["reason"] for each in found} == {"catch_up"}
    hours = {datetime.fromisoformat(each["nominal_at"]) for each in found}
    assert all(each > begun + timedelta(hours=3) for each in hours) and len(hours) == len(found)
    shown = await schedules.ask("GET", f"/{made['id']}")
    assert shown["missed"] + len(found) == 5
    wanted = {"since": begun.isoformat()}
    left = await schedules.ask("POST", f"/{made['id']}/backfill", json=wanted)
    assert len(left["times"]) == shown["missed"], "what is missing, and nothing that was caught up"


async def test_metrics_tell_of_firings(schedules: Schedules) -> None:
    made = await schedules.create(times=YEARLY)
    await schedules.ask("POST", f"/{made['id']}/trigger", json={})
    text = (await schedules.client.get("/metrics")).text
    assert 'pavo_schedule_firings_total{outcome="started"}' in text
    assert 'pavo_runs{kind="schedule",stage="active"}' in text
