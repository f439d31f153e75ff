"""People find what a job asks, answer it, and find what has failed: over HTTP and on the command line."""

import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio
from sqlalchemy import text

from pavo.jobs import contracts as c
from tests.driving import until
from tests.jobs.attempt.at_work import AtWork
from tests.jobs.attempt.given import Given
from tests.jobs.attempt.scripted import kinds, planned
from tests.jobs.shell import shell_of
from tests.parts import Parts, free_port


@pytest_asyncio.fixture(scope="module")
async def url(parts: Parts, at_work: AtWork) -> AsyncIterator[str]:
    port = free_port()
    api = await parts.start("api", TEMPORAL_TASK_QUEUE=at_work.queue, PAVO_PORT=str(port))
    yield f"http://127.0.0.1:{port}"
    api.end()


@pytest_asyncio.fixture
async def client(url: str, given: Given) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"X-User-Email": given.who.email}
    async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as found:
        yield found


async def got(client: httpx2.AsyncClient, path: str, **chosen: Any) -> dict[str, Any]:
    answer = await client.get(path, params=chosen)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def asked(client: httpx2.AsyncClient, **chosen: Any) -> dict[str, Any]:
    """The one thing that waits."""

    async def there() -> dict[str, Any] | None:
        found = await got(client, "/api/inbox", **chosen)
        assert found["total"] == len(found["items"])
        return found["items"][0] if found["total"] else None

    return await until(there, what="something in the inbox")


async def test_a_jobs_plan_is_found_and_answered(given: Given, client: httpx2.AsyncClient) -> None:
    job = await given.job(review=True, created_by=given.who.user_id)
    given.agent.will(c.MAKE_PLAN, planned("1. This."), planned("1. That."))
    handle = await given.start(job)
    item = await asked(client)
    assert (item["kind"], item["subject_kind"], item["subject_id"]) == ("plan", "job", str(job))
    assert (item["task_id"], item["title"], item["agent_type"]) == (None, "Fix it", "command")
    assert (item["text"], item["created_by"]) == ("1. This.", str(given.who.user_id))
    gate = await got(client, f"/api/gates/{item['id']}")
    assert (gate["kind"], gate["subject_kind"], gate["subject_id"]) == ("plan", "job", str(job))
    assert (gate["task_id"], gate["choices"], gate["hash"]) == (None, ["accept", "revise"], item["hash"])
    for path in ("/api/inbox", "/api/gates"):
        for chosen, count in (
            ({"kind": "plan"}, 1),
            ({"kind": "question"}, 0),
            ({"subject_id": str(job)}, 1),
            ({"task_id": str(job)}, 0),
            ({"created_by": "me"}, 1),
            ({"mine": True}, 1),
        ):
            assert (await got(client, path, **chosen))["total"] == count, (path, chosen)
        stranger = {"X-User-Email": f"{uuid.uuid4().hex}@example.com"}
        assert (await client.get(path, headers=stranger)).json()["total"] == 0
    foreign = await client.get(f"/api/gates/{item['id']}", headers=stranger)
    answer = {"hash": item["hash"], "answer": "accept"}
    refused = await client.post(f"/api/gates/{item['id']}/answer", json=answer, headers=stranger)
    assert (foreign.status_code, refused.status_code) == (404, 404)

    revise = answer | {"answer": "revise", "note": "That instead."}
    answered = await client.post(f"/api/gates/{item['id']}/answer", json=revise)
    assert (answered.status_code, answered.json()["state"]) == (200, "answered"), answered.text

    async def second() -> dict[str, Any] | None:
        return next((each for each in (await got(client, "/api/inbox"))["items"] if each["text"] == "1. That."), None)

    item = await until(second, what="the second plan")
    answer = {"hash": item["hash"], "answer": "accept"}
    assert (await client.post(f"/api/gates/{item['id']}/answer", json=answer)).status_code == 200
    assert await handle.result() == "DONE"
    assert (await got(client, "/api/inbox"))["total"] == 0
    late = await client.post(f"/api/gates/{item['id']}/answer", json=answer | {"answer": "revise"})
    assert late.status_code == 409


async def test_it_is_answered_on_the_command_line(
    given: Given, client: httpx2.AsyncClient, url: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    job = await given.job(review=True, created_by=given.who.user_id)
    handle = await given.start(job)
    await asked(client)
    shell = shell_of(monkeypatch, url, given.who.email, environment["DATABASE_URL"])
    listed = (await shell.type("inbox", "list", "--job", str(job))).stdout
    assert "plan" in listed and "Fix it" in listed and "1. Do it." in listed, listed
    shown = (await shell.type("inbox", "show", str(job)[-8:])).stdout
    assert "accept" in shown and "revise" in shown and "1. Do it." in shown
    done = (await shell.type("inbox", "answer", str(job), "accept")).stdout
    assert "Answered" in done and f"pavo job logs {job} -f" in done, done
    assert await handle.result() == "DONE"
    assert c.START_EXECUTION in kinds(given.agent.asked)


async def test_what_failed_waits_until_it_is_queued_again_and_a_removed_job_breaks_no_list(
    given: Given, client: httpx2.AsyncClient
) -> None:
    job = await given.job(review=True, created_by=given.who.user_id)
    handle = await given.start(job)
    gate = await asked(client)
    failed = (
        "UPDATE jobs SET stage = 'FAILED', ended_at = pavo_now(), error = '{\"cause\": \"It broke.\"}' WHERE id = :job"
    )
    async with given.database.transaction() as session:
        await session.execute(text(failed), {"job": job})
    found = await asked(client, kind="failure")
    assert (found["id"], found["subject_kind"], found["text"]) == (str(job), "job", "It broke.")
    await handle.terminate()
    # Its gate's row may outlast it for a moment.
    async with given.database.transaction() as session:
        await session.execute(text("UPDATE jobs SET deleted_at = pavo_now() WHERE id = :job"), {"job": job})
    assert (await got(client, "/api/inbox"))["total"] == 0
    assert (await got(client, "/api/gates", created_by="me"))["total"] == 0
    left = await got(client, "/api/gates")
    assert [each["id"] for each in left["items"]] == [gate["id"]]
    answer = {"hash": gate["hash"], "answer": "accept"}
    assert (await client.post(f"/api/gates/{gate['id']}/answer", json=answer)).status_code == 404
