"""Schedules from the outside: made, fired by Temporal, paused, changed, triggered, deleted."""

from tests.schedules.scheduling import TASK, Schedules

EVERY_SECOND = {"intervals": [{"every": "1s"}]}


async def test_a_task_starts_at_each_time_once(schedules: Schedules) -> None:
    made = await schedules.create(times=EVERY_SECOND, overlap="ALLOW_ALL")
    assert made["in_step"] and made["version"] == 1 and len(made["next"]) == 10
    found = await schedules.until(made["id"], lambda all_: sum(each["state"] == "started" for each in all_) >= 3)
    await schedules.ask("POST", f"/{made['id']}/pause", json={"reason": "enough"})
    moments = [each["nominal_at"] for each in found]
    assert len(set(moments)) == len(moments)
    subjects = [each["subject_id"] for each in found if each["state"] == "started"]
    assert len(set(subjects)) == len(subjects)
    tasks = (await schedules.client.get("/api/tasks", params={"limit": 200})).json()["items"]
    assert set(subjects) <= {each["id"] for each in tasks}
    assert {each["title"] for each in tasks} == {TASK["task"]["title"]}
