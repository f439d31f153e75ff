"""A task's whole life over HTTP, against real stores, a real API and a real worker."""

from contextlib import aclosing

import httpx2

from tests.driving import SLOW, Tasks, stages, ticks, types, until


async def test_whole_life(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    task_id = await tasks.create({"steps": 60, "step_seconds": 0.02}, prompt="Why do customers leave?")
    assert (await tasks.get(task_id))["stage_status"] == "PENDING"
    started = await tasks.post(f"{task_id}/start")
    assert not started["already_running"] and started["run_id"]
    assert (await tasks.post(f"{task_id}/start"))["already_running"]
    v1 = await tasks.wait(task_id, "WAIT_RFC")
    assert v1["stage_status"] == "PAUSED"
    assert v1["workflow_id"] == started["workflow_id"] and v1["workflow_id"].endswith(f"|t:{task_id}|a:intern")
    assert (v1["plan"]["version"], v1["plan"]["status"]) == (1, "REVIEW")

    wrong = await client.post(f"/api/tasks/{task_id}/plan/accept", json={"hash": "0" * 64})
    assert wrong.status_code == 409
    assert wrong.headers["content-type"] == "application/problem+json"
    assert wrong.json()["current_hash"] == v1["plan"]["hash"]

    document = f"{task_id}/documents/{v1['plan']['document_id']}"
    whole = await tasks.post(f"{document}/feedback", 201, body="Mind the small customers.")
    step = await tasks.post(f"{document}/feedback", 201, body="Only Europe.", step=2)
    edited = await client.patch(f"/api/tasks/{document}/feedback/{step['id']}", json={"body": "Only Norway."})
    assert edited.status_code == 200 and edited.json()["body"] == "Only Norway."
    await tasks.post(f"{task_id}/plan/accept", 409, hash=v1["plan"]["hash"])

    assert (await tasks.post(f"{task_id}/plan/done-reviewing"))["outcome"] == "revising"

    async def second() -> bool:
        plan = (await tasks.get(task_id))["plan"]
        return plan["version"] == 2 and plan["status"] == "REVIEW"

    await until(second)
    v2 = await tasks.get(task_id)
    plans = await tasks.documents(task_id)
    assert [(plan["version"], plan["status"]) for plan in plans] == [(1, "LOCKED"), (2, "REVIEW")]
    answers = {item["id"]: item for item in plans[0]["feedback"]}
    assert answers[whole["id"]]["answer"] and answers[step["id"]]["answer"]
    assert answers[step["id"]]["answered_in"] == plans[1]["id"]
    assert "Only Norway." in plans[1]["body"] and "Mind the small customers." in plans[1]["body"]
    await tasks.post(f"{task_id}/plan/accept", 409, hash=v1["plan"]["hash"])
    await tasks.accept(v2)
    await tasks.accept(v2)

    async def ten() -> bool:
        return (await tasks.get(task_id))["steps"] >= 10

    await until(ten)
    assert (await tasks.get(task_id))["stage_status"].startswith("RUNNING:")
    receipt = await tasks.post(f"{task_id}/stop")
    stopped = await tasks.get(task_id)
    assert (stopped["stage"], stopped["stage_status"]) == ("STOPPED", "PAUSED")
    assert receipt["stage"] == "EXECUTING" and receipt["last_step"] == stopped["steps"] >= 10
    assert f"checkpoint {receipt['last_step'] + 1}" in receipt["resume"]
    assert await tasks.post(f"{task_id}/stop") == receipt
    await tasks.post(f"{task_id}/resume")
    done = await tasks.wait(task_id, "DONE")
    assert (done["stage_status"], done["steps"], done["progress"]) == ("COMPLETED", 60, 60)

    events = await tasks.events(task_id)
    assert stages(events) == [
        "INIT",
        "PLANNING",
        "WAIT_RFC",
        "PLANNING",
        "WAIT_RFC",
        "EXECUTING",
        "STOPPED",
        "EXECUTING",
        "DONE",
    ]
    assert ticks(events) == list(range(1, 61))
    assert types(events, "plan", "feedback", "accepted", "stopped", "report") == [
        "plan",
        "feedback",
        "feedback",
        "feedback",
        "plan",
        "accepted",
        "stopped",
        "report",
    ]
    accepted = next(event for event in events if event["type"] == "accepted")
    assert (accepted["by"], accepted["hash"]) == ("ada@example.com", v2["plan"]["hash"])
    assert events[-1]["type"] == "stage"
    report = (await tasks.documents(task_id))[-1]
    assert (report["kind"], report["status"]) == ("REPORT", "FINAL") and "Only Norway." in report["body"]

    assert [data async for _, data in tasks.stream(task_id)] == events
    middle = events[len(events) // 2]["seq"]
    assert [data async for _, data in tasks.stream(task_id, middle)] == events[middle:]
    past = await client.get(f"/api/tasks/{task_id}/stream", headers={"Last-Event-ID": str(events[-1]["seq"])})
    assert past.status_code == 204
    assert (await client.post(f"/api/tasks/{task_id}/resume")).status_code == 409
    assert (await client.post(f"/api/tasks/{task_id}/start")).status_code == 409


async def test_who_saw_a_future_that_a_restore_took_away_begins_anew(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    task = await tasks.reviewable()
    before = await tasks.events(task["id"])
    async with aclosing(tasks.stream(task["id"], after=before[-1]["seq"] + 100)) as found:
        seen = [await anext(found) for _ in before]
    assert [data for _, data in seen] == before
    assert (await client.delete(f"/api/tasks/{task['id']}")).status_code == 204


async def test_auto_accept_is_in_the_timeline(tasks: Tasks) -> None:
    task_id = await tasks.started({"steps": 120, "step_seconds": 0}, auto_accept=True)
    await tasks.wait(task_id, "DONE")
    events = await tasks.events(task_id)
    assert stages(events) == ["INIT", "PLANNING", "EXECUTING", "DONE"]
    accepted = next(event for event in events if event["type"] == "accepted")
    assert accepted["by"] == "policy:auto_accept"
    assert ticks(events) == list(range(1, 121))
    assert [event["steps"] for event in events if event["type"] == "progress"] == [50, 100, 120]


async def test_viewer_of_a_running_task_sees_each_event_once(tasks: Tasks) -> None:
    task_id = await tasks.executing({"steps": 40, "step_seconds": 0.02})
    seen = [(number, data["seq"]) async for number, data in tasks.stream(task_id)]
    events = await tasks.events(task_id)
    assert seen == [(event["seq"], event["seq"]) for event in events]
    assert ticks(events) == list(range(1, 41))


async def test_done_reviewing_without_feedback_accepts(tasks: Tasks) -> None:
    task = await tasks.reviewable()
    answer = await tasks.post(f"{task['id']}/plan/done-reviewing")
    assert answer == {"outcome": "accepted", "hash": task["plan"]["hash"]}
    await tasks.wait(task["id"], "DONE")


async def test_gathered_context_comes_first(tasks: Tasks) -> None:
    task = await tasks.reviewable(agent_type="tribal_search")
    events = await tasks.events(task["id"])
    assert types(events, "context", "plan") == ["context", "plan"]
    context = next(event for event in events if event["type"] == "context")
    assert context["n"] == len(context["titles"])


async def test_twice_at_once_starts_one(tasks: Tasks, client: httpx2.AsyncClient) -> None:
    import asyncio

    task_id = await tasks.create(SLOW)
    answers = await asyncio.gather(*(client.post(f"/api/tasks/{task_id}/start") for _ in range(8)))
    assert {answer.status_code for answer in answers} == {200}
    assert sum(not answer.json()["already_running"] for answer in answers) == 1
    task = await tasks.wait(task_id, "WAIT_RFC")
    assert {answer.json()["run_id"] for answer in answers} <= {task["run_id"], None}
    await tasks.post(f"{task_id}/stop")
