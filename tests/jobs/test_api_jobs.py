"""Jobs over HTTP: submitted, listed, shown, ordered, cancelled, queued again; and by nobody else."""

import asyncio
import uuid
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import func, select, update

from pavo.jobs.sql.models import JobAttemptRow, JobRow
from pavo.kit.sql import Database
from tests.jobs.organisations import Person, add_agent, member_of, somebody

URL = "https://git.example.com/acme/site.git"
NEW = {"repository": "site", "prompt": "Fix the login form.\nIt is broken.", "program": "codex"}


@pytest_asyncio.fixture
async def submitter(owner: Person) -> Person:
    """An owner with a repository; nobody is there who could do its jobs."""
    await owner.post("repositories", status=201, name="site", clone_url=URL, default_branch="trunk")
    return owner


async def of(person: Person, job: Any, path: str = "", method: str = "GET", status: int = 200, **request: Any) -> Any:
    """Ask about a job."""
    answer = await person.client.request(method, f"/api/jobs/{job['id']}{path}", **request)
    assert answer.status_code == status, (method, path, answer.status_code, answer.text)
    return answer.json() if answer.content else None


async def test_submitted_listed_and_shown(submitter: Person) -> None:
    answer = await submitter.client.post(submitter.path("jobs"), json={**NEW, "labels": ["gpu", "linux", "gpu"]})
    job = answer.json()
    assert answer.status_code == 201 and answer.headers["location"] == f"/api/jobs/{job['id']}"
    assert job["stage"] == "QUEUED" and job["title"] == "Fix the login form." and job["base_branch"] == "trunk"
    assert job["branch"] == f"pavo/{job['id']}" and job["labels"] == ["gpu", "linux"] and job["priority"] == 50
    assert job["repository"] == "site" and job["created_by"] and job["attempt_list"] == [] and job["agent"] is None
    assert await of(submitter, job) == job
    page = await submitter.get("jobs")
    assert [each["id"] for each in page["items"]] == [job["id"]] and "prompt" not in page["items"][0]
    events = await of(submitter, job, "/events")
    assert events["items"][0]["type"] == "queued" and events["items"][0]["by"] == job["created_by"]


async def test_one_key_submits_one_job(submitter: Person) -> None:
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    asked = [submitter.client.post(submitter.path("jobs"), json=NEW, headers=headers) for _ in range(5)]
    answers = await asyncio.gather(*asked)
    assert sorted(each.status_code for each in answers) == [200, 200, 200, 200, 201]
    assert len({each.json()["id"] for each in answers}) == 1 and len((await submitter.get("jobs"))["items"]) == 1
    other = await submitter.client.post(submitter.path("jobs"), json={**NEW, "prompt": "Else"}, headers=headers)
    assert other.status_code == 409 and other.json()["code"] == "IdempotencyMismatch"


BAD: list[tuple[str, Any, int]] = [
    ("repository", "nowhere", 422),
    ("repository", "7d0e8a52-0d0c-4c8e-9d0e-3f6f3c1f2a11", 422),
    ("prompt", " ", 422),
    ("prompt", "x" * 100_001, 413),
    ("program", "", 422),
    ("program", "a b", 422),
    ("base_branch", "--upload-pack=x", 422),
    ("base_branch", "a..b", 422),
    ("priority", 101, 422),
    ("priority", "50", 422),
    ("labels", ["a b"], 422),
    ("labels", [f"l{each}" for each in range(21)], 422),
    ("options", {"a": "\x00"}, 422),
    ("options", {"a": "x" * 40_000}, 413),
    ("max_attempts", 0, 422),
    ("nonsense", 1, 422),
]


@pytest.mark.parametrize(("field", "value", "status"), BAD, ids=[f"{each[0]} {str(each[1])[:20]!r}" for each in BAD])
async def test_what_is_wrong_is_named_and_queues_nothing(
    submitter: Person, field: str, value: Any, status: int
) -> None:
    refused = await submitter.post("jobs", status=status, **{**NEW, field: value})
    assert refused["field"].partition(".")[0] == field and refused["remedy"], refused
    assert (await submitter.get("jobs"))["items"] == []


async def test_pages_and_filters(submitter: Person) -> None:
    made = [await submitter.post("jobs", status=201, **{**NEW, "title": f"Job {each}"}) for each in range(5)]
    first = await submitter.get("jobs", limit=2)
    second = await submitter.get("jobs", limit=2, cursor=first["next_cursor"])
    third = await submitter.get("jobs", limit=2, cursor=second["next_cursor"])
    found = [each["id"] for page in (first, second, third) for each in page["items"]]
    assert found == [each["id"] for each in reversed(made)] and third["next_cursor"] is None
    await of(submitter, made[0], "/cancel", "POST")
    over = await submitter.get("jobs", stage="over")
    assert [each["id"] for each in over["items"]] == [made[0]["id"]]
    assert len((await submitter.get("jobs", stage="queued"))["items"]) == 4
    assert [each["id"] for each in (await submitter.get("jobs", q="job 3"))["items"]] == [made[3]["id"]]
    assert [each["id"] for each in (await submitter.get("jobs", q=made[2]["id"][-12:]))["items"]] == [made[2]["id"]]
    assert (await submitter.get("jobs", repository="other"))["items"] == []
    assert (await submitter.get("jobs", stage="nonsense", status=422))["field"] == "stage"
    assert (await submitter.get("jobs", cursor="x", status=422))["field"] == "cursor"


async def test_cancelled_and_queued_again(submitter: Person) -> None:
    job = await submitter.post("jobs", status=201, **NEW)
    for method, path in (("POST", "/cancel"), ("DELETE", "")):  # the second changes nothing more
        receipt = await of(submitter, job, path, method)
        assert receipt == {"stage": "CANCELLED", "reached": True, "killed": 0, "cleaned": True}
    assert (await of(submitter, job))["ended_at"]
    for _ in range(2):
        again = await of(submitter, job, "/requeue", "POST")
        assert again["stage"] == "QUEUED" and again["cancel_asked_at"] is None
    reworked = await of(submitter, job, "/cancel", "POST") and await of(
        submitter, job, "/rework", "POST", json={"body": "Use the helper."}
    )
    assert reworked["kind"] == "rework" and reworked["feedback"] == "Use the helper."
    refused = await of(submitter, job, "/rework", "POST", 422, json={"body": " "})
    assert refused["field"] == "body"
    assert (await of(submitter, job, "/adopt", "POST", 404, json={"epoch": 7}))["field"] == "epoch"
    kinds = [each["type"] for each in (await of(submitter, job, "/events"))["items"]]
    assert "cancel_asked" in kinds and "message" in kinds


async def test_the_queue(database: Database, submitter: Person) -> None:
    made = [await submitter.post("jobs", status=201, **{**NEW, "title": f"Job {each}"}) for each in range(4)]
    queue = await submitter.get("queue")
    assert queue["paused"] is False and queue["at_once"] == 1 and queue["counts"]["QUEUED"] == 4
    assert [each["id"] for each in queue["queued"]] == [each["id"] for each in made]
    assert all(each["why"]["code"] and each["why"]["text"] for each in queue["queued"])
    moved = await of(submitter, made[3], "/reprioritise", "POST", json={"position": 1})
    assert moved["position"] == 1
    await of(submitter, made[1], "/reprioritise", "POST", json={"priority": 100})
    order = [each["id"] for each in (await submitter.get("queue"))["queued"]]
    assert set(order) == {each["id"] for each in made} and order.index(made[1]["id"]) < order.index(made[0]["id"])
    for body in ({}, {"position": 1, "priority": 1}, {"position": 0}, {"priority": 101}):
        assert (await of(submitter, made[0], "/reprioritise", "POST", 422, json=body))["remedy"]
    assert [each["id"] for each in (await submitter.get("queue"))["queued"]] == order
    for _ in range(2):
        paused = await submitter.post("queue", "pause")
        assert paused["paused"] is True and paused["queued"][0]["why"]["code"] == "paused"
    assert (await submitter.post("queue", "resume"))["paused"] is False
    assert (await submitter.send("PATCH", "queue", json={"at_once": 3}))["at_once"] == 3
    assert (await submitter.send("PATCH", "queue", json={"at_once": 0}, status=422))["field"] == "at_once"
    page = await submitter.get("queue", after=1, limit=2)
    assert [each["position"] for each in page["queued"]] == [2, 3]
    agent_id = await add_agent(database, submitter.organisation_id, "build-7", online=True, programs=["codex"])
    values = {"stage": "EXECUTING", "epoch": 1, "agent_id": agent_id, "claimed_at": func.pavo_now()}
    async with database.transaction() as session:
        await session.execute(update(JobRow).where(JobRow.id == uuid.UUID(made[0]["id"])).values(**values))
    (executing,) = (await submitter.get("queue"))["executing"]
    assert executing["agent"] == "build-7" and executing["stage"] == "EXECUTING" and executing["since"]
    assert executing["link"] == f"/api/jobs/{made[0]['id']}"
    assert (await of(submitter, made[0], "/reprioritise", "POST", 409, json={"position": 1}))["code"] == "WrongStage"


async def test_a_jobs_attempts_and_workflow(database: Database, submitter: Person) -> None:
    job = await submitter.post("jobs", status=201, **NEW)
    status = await of(submitter, job, "/workflow-status")
    assert status["workflow"] is None and status["stage"] == "QUEUED" and status["epoch"] == 0
    error = {"type": "PushRefused", "cause": "The branch is protected.", "remedy": "Allow it."}
    place = {"job_id": uuid.UUID(job["id"]), "agent": "build-7"}
    async with database.transaction() as session:
        session.add(JobAttemptRow(epoch=1, ended="lost", reason="silence", branch="pavo/x--epoch-1", **place))
        session.add(JobAttemptRow(epoch=2, **place))
        changed = {"stage": "FAILED", "epoch": 2, "error": error, "pull_request_url": "https://x/1"}
        await session.execute(update(JobRow).where(JobRow.id == place["job_id"]).values(**changed))
    found = await of(submitter, job)
    assert [(each["epoch"], each["ended"]) for each in found["attempt_list"]] == [(1, "lost"), (2, None)]
    assert found["error"] == error and found["pull_request"]["url"] == "https://x/1"
    status = await of(submitter, job, "/workflow-status")
    assert status["workflow"] is None and status["error"] == error, "Temporal knows none"


async def test_members_do_and_others_know_nothing(stack: str, submitter: Person) -> None:
    job = await submitter.post("jobs", status=201, **NEW)
    paths = ("", "/events", "/logs", "/artifacts", "/workflow-status")
    commands: list[tuple[str, dict[str, Any]]] = [
        ("/cancel", {}),
        ("/requeue", {}),
        ("/rework", {"body": "x"}),
        ("/adopt", {"epoch": 1}),
    ]
    commands.append(("/reprioritise", {"position": 1}))
    async with somebody(stack) as other:
        unknown = {"id": str(uuid.uuid4())}
        for path in paths:
            foreign, nothing = [await of(other, each, path, status=404) for each in (job, unknown)]
            assert str(foreign).replace(job["id"], "X") == str(nothing).replace(unknown["id"], "X")
        for path, body in commands:
            await of(other, job, path, "POST", 404, json=body)
        await of(other, job, "", "DELETE", 404)
        foreign = Person(other.client, submitter.organisation_id)
        for parts in (("jobs",), ("queue",)):
            await foreign.get(*parts, status=404)
        await foreign.post("jobs", status=404, **NEW)
        await foreign.post("queue", "pause", status=404)
        assert (await of(submitter, job))["stage"] == "QUEUED"
        member = await member_of(submitter, other.client)
        mine = await member.post("jobs", status=201, **NEW)
        assert (await of(member, mine))["created_by"] != job["created_by"]
        assert (await member.post("queue", "pause"))["paused"] is True
        await member.send("PATCH", "queue", json={"at_once": 3}, status=403)
        assert (await of(member, job, "/cancel", "POST"))["stage"] == "CANCELLED"


async def test_a_repository_that_is_removed_meanwhile_takes_no_job(database: Database, submitter: Person) -> None:
    """Either the removal sees the job, or the job finds no repository."""
    (repository,) = (await submitter.get("repositories"))["items"]
    several = [submitter.client.post(submitter.path("jobs"), json=NEW) for _ in range(10)]
    removal = submitter.client.delete(submitter.path("repositories", repository["id"]))
    *submitted, removed = await asyncio.gather(*several, removal)
    made = sum(each.status_code == 201 for each in submitted)
    assert {each.status_code for each in submitted} <= {201, 422}
    assert removed.status_code == (409 if made else 204), made
    async with database.reading() as session:
        query = select(func.count()).where(JobRow.repository_id == uuid.UUID(repository["id"]))
        assert (await session.execute(query)).scalar_one() == made
