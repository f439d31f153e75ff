"""Watching is the same for whatever has a timeline: here things, of which no slice of Pavo knows.

Everything that a slice would write itself is the router below.
"""

import asyncio
import socket
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Any

import httpx2
import orjson
import pytest
import pytest_asyncio
import uvicorn
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from redis.asyncio import Redis

from pavo.errors import InvalidInput, NotFound, PavoError
from pavo.kit.problem import problem, problems
from pavo.kit.sql import Database
from pavo.timeline import service
from pavo.timeline.domain import NewEvent, Subject
from pavo.timeline.follow import Follower
from pavo.timeline.http import (
    After,
    EventLimit,
    EventStream,
    Position,
    TheWatching,
    events_page,
    stream_answers,
    stream_or_no_content,
)
from pavo.timeline.publish import Publisher
from pavo.timeline.schemas import EventPage
from pavo.timeline.watching import WatchService

router = APIRouter(prefix="/api/things")


async def watched_thing(request: Request, thing_id: uuid.UUID) -> Subject:
    if request.app.state.owners.get(thing_id) != request.headers.get("X-User", "nobody"):
        raise NotFound(f"There is no thing {thing_id}.", field="thing_id")
    return Subject(thing_id, deleted=thing_id in request.app.state.deleted)


async def own_thing(request: Request, thing_id: uuid.UUID) -> Subject:
    thing = await watched_thing(request, thing_id)
    if thing.deleted:
        raise NotFound(f"There is no thing {thing_id}.", field="thing_id")
    return thing


OwnThing = Annotated[Subject, Depends(own_thing)]
WatchedThing = Annotated[Subject, Depends(watched_thing)]


@router.get("/{thing_id}/events", response_model=EventPage, responses=problems(404))
async def list_events(watching: TheWatching, thing: OwnThing, after: After = 0, limit: EventLimit = 200) -> Response:
    return events_page(await watching.events(thing.id, after, limit))


@router.get("/{thing_id}/stream", response_class=EventStream, responses=stream_answers("thing"))
async def stream_thing(watching: TheWatching, thing: WatchedThing, position: Position) -> Response:
    return stream_or_no_content(await watching.stream(thing, position))


class Things:
    """Things and their timelines, as Ada sees them over HTTP."""

    def __init__(self, client: httpx2.AsyncClient, app: FastAPI, database: Database, publisher: Publisher) -> None:
        self.client = client
        self._state, self._database, self._publisher = app.state, database, publisher

    async def create(self) -> uuid.UUID:
        thing_id = uuid.uuid4()
        self._state.owners[thing_id] = "ada"
        async with self._database.transaction() as session:
            recorded = await service.create(session, thing_id, NewEvent("made", {"of": "brass"}))
        self._publisher.publish(recorded)
        return thing_id

    async def tell(self, thing_id: uuid.UUID, *types: str, close: bool = False) -> None:
        async with self._database.transaction() as session:
            new = [NewEvent(type_, {"text": "über"}) for type_ in types]
            recorded = await service.append(session, thing_id, new, close=close)
        self._publisher.publish(recorded)

    async def delete(self, thing_id: uuid.UUID) -> None:
        self._state.deleted.add(thing_id)
        await self.tell(thing_id, "deleted", close=True)

    async def lose(self, thing_id: uuid.UUID) -> None:
        async with self._database.transaction() as session:
            await service.remove(session, thing_id)

    async def page(self, thing_id: uuid.UUID, **query: int) -> dict[str, Any]:
        answer = await self.client.get(f"/api/things/{thing_id}/events", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def stream(
        self, thing_id: uuid.UUID, last: int | None = None, **query: int
    ) -> AsyncGenerator[tuple[int, dict[str, Any]]]:
        """(id, data) of each message, until the API ends the stream; `last` is the Last-Event-ID."""
        headers = {} if last is None else {"Last-Event-ID": str(last)}
        async with self.client.stream("GET", f"/api/things/{thing_id}/stream", params=query, headers=headers) as answer:
            assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
            number = 0
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = int(line[4:])
                elif line.startswith("data: "):
                    yield number, orjson.loads(line[6:])


def application(watching: WatchService) -> FastAPI:
    app = FastAPI()
    app.state.watching, app.state.owners, app.state.deleted = watching, {}, set()
    app.include_router(router)

    @app.exception_handler(PavoError)
    async def on_error(_: Request, error: PavoError) -> JSONResponse:
        status = {NotFound: 404, InvalidInput: 422}[type(error)]
        return JSONResponse(problem(status, error), status)

    return app


@asynccontextmanager
async def served(app: FastAPI, follower: Follower) -> AsyncIterator[str]:
    """The application on a port of its own, for a client that leaves in the middle of an answer."""
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        follower.dismiss()
        server.should_exit = True
        await serving


@pytest_asyncio.fixture
async def things(database: Database, redis: Redis, follower: Follower) -> AsyncIterator[Things]:
    app = application(WatchService(database, follower))
    publisher = Publisher(redis)
    publisher.start()
    async with (
        served(app, follower) as address,
        httpx2.AsyncClient(base_url=address, headers={"X-User": "ada"}, timeout=20) as client,
    ):
        yield Things(client, app, database, publisher)
    await publisher.close()


async def test_a_viewer_that_comes_back_goes_on_until_the_end(things: Things) -> None:
    thing_id = await things.create()
    seen: list[tuple[int, str]] = []
    async with aclosing(things.stream(thing_id)) as found:
        async for number, data in found:
            assert data["seq"] == number
            seen.append((number, data["type"]))
            if number == 3:
                break
            if number == 1:
                await things.tell(thing_id, "turned", "bent")
    await things.tell(thing_id, "filed")  # while nobody looks
    async for number, data in things.stream(thing_id, last=3):
        seen.append((number, data["type"]))
        if number == 4:
            await things.tell(thing_id, "finished", close=True)  # the stream ends by itself
    assert seen == [(1, "made"), (2, "turned"), (3, "bent"), (4, "filed"), (5, "finished")]

    path = f"/api/things/{thing_id}/stream"
    assert (await things.client.get(path, headers={"Last-Event-ID": "5"})).status_code == 204
    assert (await things.client.get(path, params={"after": 5})).status_code == 204
    assert [number async for number, _ in things.stream(thing_id, last=3)] == [4, 5]


async def test_where_a_viewer_begins(things: Things) -> None:
    thing_id = await things.create()
    await things.tell(thing_id, "turned", "finished", close=True)

    async def begins(last: int | None = None, **query: int) -> int:
        return min([number async for number, _ in things.stream(thing_id, last, **query)])

    assert await begins() == 1
    assert await begins(after=1) == 2
    assert await begins(last=2, after=1) == 3, "a browser repeats the address"
    other = await things.create()
    async with aclosing(things.stream(other, last=99)) as found:
        assert (await anext(found))[0] == 1, "a restore took the rest away"


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 19, "²"])
async def test_no_number_of_an_event(things: Things, last: str) -> None:
    path = f"/api/things/{await things.create()}/stream"
    answer = await things.client.get(path, headers={"Last-Event-ID": last.encode()})  # type: ignore[dict-item]
    assert answer.status_code == 422 and answer.json()["field"] == "Last-Event-ID"


async def test_pages_hold_what_streams_tell(things: Things) -> None:
    thing_id = await things.create()
    await things.tell(thing_id, "turned", "bent")
    page = await things.page(thing_id, after=1, limit=1)
    assert [event["type"] for event in page["items"]] == ["turned"]
    assert (page["last_seq"], page["closed"]) == (3, False)
    await things.tell(thing_id, "finished", close=True)
    page = await things.page(thing_id)
    assert page["items"] == [data async for _, data in things.stream(thing_id)]
    assert (page["last_seq"], page["closed"]) == (4, True)
    assert EventPage.model_validate(page).items[0].model_extra == {"of": "brass"}


async def test_a_deleted_thing_ends_its_streams(things: Things) -> None:
    thing_id = await things.create()
    types: list[str] = []
    async for number, data in things.stream(thing_id):
        types.append(data["type"])
        if number == 1:
            await things.delete(thing_id)
    assert types == ["made", "deleted"]
    for position in ({}, {"after": 1}, {"after": 2}):
        assert (await things.client.get(f"/api/things/{thing_id}/stream", params=position)).status_code == 204
    assert (await things.client.get(f"/api/things/{thing_id}/events")).status_code == 404


async def test_unknown_and_foreign_ones_answer_alike(things: Things) -> None:
    theirs, unknown = await things.create(), uuid.uuid4()
    for kind in ("stream", "events"):
        foreign = await things.client.get(f"/api/things/{theirs}/{kind}", headers={"X-User": "mallory"})
        none = await things.client.get(f"/api/things/{unknown}/{kind}")
        assert foreign.status_code == none.status_code == 404
        assert foreign.text.replace(str(theirs), str(unknown)) == none.text


async def test_one_without_a_timeline_is_not_found(things: Things) -> None:
    thing_id = await things.create()
    await things.lose(thing_id)
    for kind in ("stream", "events"):
        assert (await things.client.get(f"/api/things/{thing_id}/{kind}")).status_code == 404
