"""The whole way with real processes: a task moves, a worker delivers, and dies doing so. And who may set it up."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.kit.migrate import upgrade
from tests.driving import QUICK, Tasks, until
from tests.parts import Part, Parts, Stores, drop_database, free_port, new_database
from tests.webhooks.receiver import Receiver, hang, verifies


@pytest.fixture(scope="module")
def own_environment(stores: Stores) -> Iterator[dict[str, str]]:
    """A stack whose webhooks may reach this machine, and wait for no more than a second."""
    url = new_database(stores)
    upgrade(url)
    yield {
        "DATABASE_URL": url,
        "REDIS_URL": stores.redis_url,
        "TEMPORAL_ADDRESS": stores.temporal_address,
        "TEMPORAL_TASK_QUEUE": f"webhooks-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": str(free_port()),
        "PAVO_WEBHOOK_NETWORKS": "127.0.0.0/8",
        "PAVO_WEBHOOK_SECONDS": "1",
    }
    drop_database(stores, url)


@pytest_asyncio.fixture(scope="module")
async def own_parts(own_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Parts]:
    found = Parts(own_environment, tmp_path_factory.mktemp("webhooks"))
    await found.start("api")
    yield found
    found.close()


@pytest_asyncio.fixture(scope="module")
async def workers(own_parts: Parts) -> list[Part]:
    """The one that lives is the last."""
    return [await own_parts.start("worker")]


@pytest_asyncio.fixture(scope="module")
async def ada(own_environment: dict[str, str], own_parts: Parts) -> AsyncIterator[httpx2.AsyncClient]:
    url = f"http://127.0.0.1:{own_environment['PAVO_PORT']}"
    async with httpx2.AsyncClient(base_url=url, headers={"X-User-Email": "ada@example.com"}, timeout=30) as found:
        yield found


@pytest_asyncio.fixture(scope="module")
async def path(ada: httpx2.AsyncClient) -> str:
    """Of the webhooks of Ada's organisation."""
    return f"/api/organisations/{(await ada.get('/api/session')).json()['organisation_id']}/webhooks"


async def add(ada: httpx2.AsyncClient, path: str, receiver: Receiver, *events: str) -> dict[str, Any]:
    answer = await ada.post(path, json={"url": receiver.url, "events": events})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.usefixtures("workers")
async def test_a_task_from_start_to_end(ada: httpx2.AsyncClient, path: str, receiver: Receiver) -> None:
    webhook, tasks = await add(ada, path, receiver), Tasks(ada)
    task = await tasks.reviewable(QUICK)

    async def waiting() -> Any:
        return receiver.of_type("task.waiting")

    ((message,),) = [await until(waiting, what="the message that the task waits")]
    assert message["data"]["task_id"] == task["id"] and message["data"]["reason"] == "review"
    await tasks.accept(task)
    await tasks.wait(task["id"], "DONE")

    async def done() -> bool:
        return "DONE" in [found["data"]["stage"] for found in receiver.of_type("task.stage_changed")]

    await until(done, what="the message that the task is done")
    changes = sorted(receiver.of_type("task.stage_changed"), key=lambda found: found["data"]["sequence"])
    assert [found["data"]["stage"] for found in changes] == ["PLANNING", "WAIT_RFC", "EXECUTING", "DONE"]
    assert all(verifies(webhook["secret"], got) for got in receiver.got)
    assert len(set(receiver.ids())) == len(receiver.got) == 5

    log = f"{path}/{webhook['id']}/deliveries"

    async def all_recorded() -> bool:
        return {found["state"] for found in (await ada.get(log)).json()["items"]} == {"delivered"}

    await until(all_recorded, what="that all are recorded")
    page = (await ada.get(log, params={"limit": 2})).json()
    assert {found["id"] for found in (await ada.get(log)).json()["items"]} == set(receiver.ids())
    rest = (await ada.get(log, params={"cursor": page["next_cursor"]})).json()
    assert len(page["items"]) == 2 and len(rest["items"]) == 3 and rest["next_cursor"] is None
    assert (await ada.delete(f"{path}/{webhook['id']}")).status_code == 204


async def test_a_worker_that_dies_between_sending_and_recording(
    ada: httpx2.AsyncClient, path: str, receiver: Receiver, own_parts: Parts, workers: list[Part]
) -> None:
    webhook = await add(ada, path, receiver)
    receiver.behaviour = hang  # it has the message, and its sender has no answer yet
    answer = await ada.post(f"{path}/{webhook['id']}/test")
    assert answer.status_code == 202, answer.text
    delivery = f"{path}/{webhook['id']}/deliveries/{answer.json()['id']}"

    async def arrived() -> bool:
        return len(receiver.got) > 0

    await until(arrived, what="the message")
    workers[-1].kill()
    await asyncio.to_thread(workers[-1].process.wait)
    assert (await ada.get(delivery)).json()["state"] == "pending"
    receiver.behaviour = None
    workers.append(await own_parts.start("worker"))

    async def delivered() -> bool:
        return (await ada.get(delivery)).json()["state"] == "delivered"

    await until(delivered, what="that it is delivered")
    first, second = receiver.got
    assert first.id == second.id == answer.json()["id"] and first.body == second.body
    assert (await ada.get(delivery)).json()["attempts"] == 2
    assert (await ada.delete(f"{path}/{webhook['id']}")).status_code == 204


@pytest.mark.usefixtures("workers")
async def test_a_receiver_that_is_away_gets_everything_later(
    ada: httpx2.AsyncClient, path: str, receiver: Receiver
) -> None:
    receiver.answer = b"HTTP/1.1 503 Away\r\n\r\n"
    webhook = await add(ada, path, receiver)
    place = f"{path}/{webhook['id']}"
    ids = {(await ada.post(f"{place}/test")).json()["id"] for _ in range(3)}

    async def failing() -> bool:
        return (await ada.get(place)).json()["failures"] > 0

    await until(failing, what="the first failure")
    shown = (await ada.get(f"{place}/deliveries")).json()["items"]
    assert {found["error"] for found in shown} <= {"It answered 503.", None}
    receiver.answer = b"HTTP/1.1 200 OK\r\n\r\n"
    receiver.got.clear()
    assert (await ada.patch(place, json={"enabled": True})).json()["failures"] == 0

    async def all_there() -> bool:
        return set(receiver.ids()) == ids

    await until(all_there, what="all messages")
    assert (await ada.delete(place)).status_code == 204


CALLS = [
    ("POST", "", {"url": "https://example.com/"}),
    ("GET", "", None),
    ("GET", "/{id}", None),
    ("PATCH", "/{id}", {"enabled": False}),
    ("DELETE", "/{id}", None),
    ("POST", "/{id}/rotate", None),
    ("POST", "/{id}/test", None),
    ("GET", "/{id}/deliveries", None),
    ("GET", "/{id}/deliveries/{id}", None),
    ("POST", "/{id}/deliveries/{id}/resend", None),
]


@pytest.mark.parametrize(("method", "rest", "body"), CALLS)
async def test_strangers_find_nothing(
    ada: httpx2.AsyncClient, path: str, receiver: Receiver, method: str, rest: str, body: Any
) -> None:
    webhook = await add(ada, path, receiver)
    place = path + rest.format(id=webhook["id"])
    answer = await ada.request(method, place, json=body, headers={"X-User-Email": "mallory@example.org"})
    assert answer.status_code == 404 and answer.json()["code"] == "NotFound"
    assert (await ada.get(f"{path}/{webhook['id']}")).json()["enabled"] is True
    # Of another organisation nothing is found through one's own either.
    other = {"X-User-Email": "mallory@example.org"}
    hers = (await ada.get("/api/session", headers=other)).json()["organisation_id"]
    if rest:
        mine = f"/api/organisations/{hers}/webhooks{rest.format(id=webhook['id'])}"
        assert (await ada.request(method, mine, json=body, headers=other)).status_code == 404
    assert (await ada.delete(f"{path}/{webhook['id']}")).status_code == 204


async def test_bad_input_changes_nothing(ada: httpx2.AsyncClient, path: str, receiver: Receiver) -> None:
    webhook = await add(ada, path, receiver)
    for body, field in (
        ({"url": "https://10.0.0.1/"}, "url"),
        ({"url": "https://169.254.169.254/latest"}, "url"),
        ({"url": "ftp://example.com/"}, "url"),
        ({"url": "https://example.com/", "events": ["task.exploded"]}, "events.0"),
        ({"url": "https://example.com/", "description": "a\nb"}, "description"),
        ({"url": "https://example.com/", "secret": "mine"}, "secret"),
    ):
        answer = await ada.post(path, json=body)
        assert answer.status_code == 422 and answer.json()["field"] == field and answer.json()["remedy"], answer.text
    again = await ada.post(path, json={"url": receiver.url})
    assert again.status_code == 409 and again.json()["field"] == "url"
    listed = (await ada.get(path)).json()["items"]
    assert [found["id"] for found in listed] == [webhook["id"]] and "secret" not in listed[0]
    for _ in range(3):
        assert (await ada.post(f"{path}/{webhook['id']}/rotate", json={"overlap_seconds": 60})).status_code == 200
    assert (await ada.post(f"{path}/{webhook['id']}/rotate")).status_code == 409
    assert (await ada.get(f"{path}/{webhook['id']}")).json()["secrets"] == 4
    for _ in range(9):
        assert (await ada.post(path, json={"url": f"https://example.com/{uuid.uuid4()}"})).status_code == 201
    assert (await ada.post(path, json={"url": "https://example.com/one-too-many"})).status_code == 409
