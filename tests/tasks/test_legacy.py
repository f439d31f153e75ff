"""The existing frontends' contract, line by line."""

import asyncio
import json
import uuid

import httpx2

from tests.driving import Tasks, until
from tests.parts import Parts, free_port


async def ok(client: httpx2.AsyncClient, path: str, **body: object) -> None:
    answer = await client.post(path, json=body or None)
    assert (answer.status_code, answer.json()) == (200, {"ok": True}), (path, answer.text)


async def test_me_v2(client: httpx2.AsyncClient, stack: str, tasks: Tasks) -> None:
    task_id = await tasks.create()
    mine = (await client.get("/me_v2")).json()
    assert mine["email"] == "ada@example.com" and uuid.UUID(mine["user_id"])
    assert mine["tasks"][0] == {
        "id": task_id,
        "title": "Analyze churn drivers",
        "agent_type": "intern",
        "stage": "INIT",
        "stage_status": "PENDING",
    }
    assert len(mine["tasks"]) <= 50
    async with httpx2.AsyncClient(base_url=stack) as nobody:
        anonymous = await nobody.get("/me_v2")
        assert anonymous.status_code == 200 and anonymous.json()["tasks"] == []
        assert (await nobody.get("/me_v2", headers={"X-User-Id": "seven"})).status_code == 400
        assert (await nobody.post("/create_task_id", json={"title": "x"})).status_code == 400
        by_id = {"X-User-Id": str(uuid.uuid4())}
        assert (await nobody.get("/me_v2", headers=by_id)).json()["user_id"] == by_id["X-User-Id"]
        made = await nobody.post("/create_task_id", json={"title": "x"}, headers=by_id)
        assert made.json()["workflow_id"] == f"u:{by_id['X-User-Id']}|t:{made.json()['task_id']}|a:intern"


async def test_the_walk(client: httpx2.AsyncClient, tasks: Tasks) -> None:
    made = (await client.post("/create_task_id", json={"title": "Walk"})).json()
    task_id, workflow_id = made["task_id"], made["workflow_id"]
    path = f"/tasks/{task_id}"
    status = (await client.get("/agent_status", params={"task_id": task_id})).json()
    assert status == {"task_id": task_id, "stage": "INIT", "stage_status": "PENDING"}
    assert (await client.get("/agent_status")).json() == {"ok": True}
    assert (await client.get("/agent_status?task_id=")).json() == {"ok": True}
    assert (await client.get("/agent_status?task_id=7")).status_code == 422
    assert (await client.post(f"{path}/message")).json() == {"workflow_id": workflow_id, "started": True}
    assert (await client.post(f"{path}/message", json={"text": "x"})).json() == {
        "workflow_id": workflow_id,
        "already_running": True,
    }
    v1 = (await tasks.wait(task_id, "WAIT_RFC"))["plan"]
    document = f"{path}/document/{v1['document_id']}"
    added = (await client.post(f"{document}/feedback/add", json={"body": "More."})).json()
    assert list(added) == ["feedback_id"]
    await ok(client, f"{document}/feedback/{added['feedback_id']}/update", body="Less.")
    assert (await client.post(f"{path}/accept_rfc")).status_code == 409
    assert (await client.post(f"{document}/status", json={"action": "burn"})).status_code == 400
    await ok(client, f"{document}/status", action="done_reviewing")

    async def second() -> bool:
        plan = (await tasks.get(task_id))["plan"]
        return plan["version"] == 2 and plan["status"] == "REVIEW"

    await until(second)
    await ok(client, f"{path}/accept_rfc")
    await tasks.wait(task_id, "EXECUTING")
    await ok(client, f"{path}/force-stop")
    stopped = (await client.get("/agent_status", params={"task_id": task_id})).json()
    assert (stopped["stage"], stopped["stage_status"]) == ("STOPPED", "PAUSED")
    assert (await client.post(f"{path}/message")).json() == {"workflow_id": workflow_id, "started": True}
    assert (await client.post(f"{path}/message")).json() == {"workflow_id": workflow_id, "already_running": True}
    await tasks.wait(task_id, "EXECUTING")
    await ok(client, f"{path}/force-stop")


async def test_where_tokens_are_needed(parts: Parts, tasks: Tasks) -> None:
    """Only `/agent_status` without a task and `/me_v2` answer those who do not prove who they are."""
    port, task_id = free_port(), await tasks.create()
    part = await parts.start("api", PAVO_AUTH="token", PAVO_SECRET_KEY="s" * 40, PAVO_PORT=str(port))
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as nobody:
        for path in ("/agent_status", "/agent_status?task_id="):
            answer = await nobody.get(path)
            assert (answer.status_code, answer.json()) == (200, {"ok": True}), answer.text
        assert (await nobody.get("/me_v2")).json() == {"user_id": None, "email": None, "tasks": []}
        for path in (f"/agent_status?task_id={task_id}", f"/tasks/{task_id}/stream", f"/api/tasks/{task_id}"):
            refused = await nobody.get(path)
            assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer"), path
    await asyncio.to_thread(part.end)


async def test_message_on_done_and_on_failed(client: httpx2.AsyncClient, tasks: Tasks) -> None:
    done = await tasks.started(auto_accept=True)
    task = await tasks.wait(done, "DONE")
    answer = (await client.post(f"/tasks/{done}/message")).json()
    assert answer == {"workflow_id": task["workflow_id"], "already_running": True}


async def test_stream_needs_no_header_in_dev_mode(stack: str, tasks: Tasks) -> None:
    task_id = await tasks.started(auto_accept=True)
    await tasks.wait(task_id, "DONE")
    events = await tasks.events(task_id)
    async with httpx2.AsyncClient(base_url=stack, timeout=20) as nobody:
        answer = await nobody.get(f"/tasks/{task_id}/stream")
        data = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
        assert data == events
        past = await nobody.get(f"/tasks/{task_id}/stream", headers={"Last-Event-ID": str(len(events))})
        assert past.status_code == 204
        assert (await nobody.get(f"/tasks/{uuid.uuid4()}/stream")).status_code == 404


async def test_unknown_and_foreign_ids(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient, tasks: Tasks) -> None:
    task = await tasks.reviewable()
    document = task["plan"]["document_id"]
    for who, task_id in ((client, str(uuid.uuid4())), (stranger, task["id"])):
        for path, body in [
            ("message", None),
            ("accept_rfc", None),
            ("force-stop", None),
            (f"document/{document}/feedback/add", {"body": "x"}),
            (f"document/{document}/feedback/{uuid.uuid4()}/update", {"body": "x"}),
            (f"document/{document}/status", {"action": "done_reviewing"}),
        ]:
            assert (await who.post(f"/tasks/{task_id}/{path}", json=body)).status_code == 404, path
        assert (await who.get("/agent_status", params={"task_id": task_id})).status_code == 404
