"""Too many requests at once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from pavo.kit.listening import admission
from pavo.kit.listening.admission import AT_A_TIME, STREAMS_BEGINNING, Admission, Turns
from tests.driving import until


class Held:
    """Requests that are in flight until they are let go."""

    def __init__(self, most: int, most_streams: int) -> None:
        self._go = asyncio.Event()
        self.inside = 0
        paths = ("/tasks/7/stream", "/api/tasks/7/stop", "/broken")
        inner = Starlette(routes=[Route(path, self._hold, methods=["GET", "POST"]) for path in paths])
        inner.add_route("/healthz", self._answer)
        self._app = Admission(inner, most=most, most_streams=most_streams)
        self.client = httpx2.AsyncClient(transport=httpx2.ASGITransport(self._app), base_url="http://test")

    async def _hold(self, request: Request) -> PlainTextResponse:
        self.inside += 1
        await self._go.wait()
        if request.url.path == "/broken":
            raise RuntimeError("broken")
        return PlainTextResponse("done")

    async def _answer(self, request: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    async def hold(self, method: str, path: str) -> asyncio.Task[httpx2.Response]:
        """Send, and wait until it is in flight."""
        before, sent = self.inside, asyncio.ensure_future(self.client.request(method, path))
        async with asyncio.timeout(5):
            while self.inside == before and not sent.done():
                await asyncio.sleep(0)
        return sent

    def let_go(self) -> None:
        self._go.set()


def assert_refused(answer: httpx2.Response) -> None:
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "Unavailable" and answer.json()["remedy"]


async def test_viewers_cannot_lock_out_commands() -> None:
    held = Held(most=4, most_streams=2)
    async with AsyncExitStack() as closing:
        await closing.enter_async_context(held.client)
        viewers = [await held.hold("GET", "/tasks/7/stream") for _ in range(2)]
        assert_refused(await held.client.get("/tasks/7/stream"))
        commands = [await held.hold("POST", "/api/tasks/7/stop") for _ in range(2)]
        assert held.inside == 4, "two viewers and two commands"
        assert_refused(await held.client.post("/api/tasks/7/stop"))
        assert_refused(await held.client.get("/tasks/7/stream"))
        assert (await held.client.get("/healthz")).text == "ok"
        held.let_go()
        assert [(await sent).status_code for sent in viewers + commands] == [200] * 4
        assert (await held.client.get("/tasks/7/stream")).status_code == 200, "places are free again"


async def test_commands_take_the_places_of_viewers() -> None:
    """Streams last: they are refused first, whatever it is that is in flight."""
    held = Held(most=3, most_streams=2)
    async with held.client:
        sent = [await held.hold("POST", "/api/tasks/7/stop") for _ in range(2)]
        assert_refused(await held.client.get("/tasks/7/stream"))
        held.let_go()
        await asyncio.gather(*sent)


async def test_whoever_breaks_or_leaves_frees_the_place() -> None:
    held = Held(most=2, most_streams=2)
    async with held.client:
        broken, left = await held.hold("GET", "/broken"), await held.hold("GET", "/tasks/7/stream")
        assert_refused(await held.client.post("/api/tasks/7/stop"))
        left.cancel()
        held.let_go()
        ends = await asyncio.gather(broken, left, return_exceptions=True)
        assert isinstance(ends[0], RuntimeError) and isinstance(ends[1], asyncio.CancelledError)
        assert (await held.client.get("/tasks/7/stream")).status_code == 200


async def test_who_asks_for_a_sign_of_life_does_not_wait_behind_a_flood() -> None:
    """Thousands of viewers connected at once kept a supervisor's greeting waiting for 8 s, and it killed the API."""
    begun: list[str] = []

    async def note(request: Request) -> PlainTextResponse:
        begun.append(request.url.path)
        await asyncio.sleep(0)
        return PlainTextResponse("ok")

    inner = Starlette(routes=[Route("/tasks/{id}/stream", note), Route("/healthz", note)])
    transport = httpx2.ASGITransport(Admission(inner))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        flood = [asyncio.ensure_future(client.get(f"/tasks/{number}/stream")) for number in range(1_000)]
        alive = asyncio.ensure_future(client.get("/healthz"))
        answers = await asyncio.gather(alive, *flood)
    assert {answer.status_code for answer in answers} == {200} and len(begun) == 1_001
    assert begun.index("/healthz") < 5 * AT_A_TIME, "it overtook those who came before it"
    viewers = [path for path in begun if path != "/healthz"]
    assert viewers == [f"/tasks/{number}/stream" for number in range(1_000)], "the others begin in their order"


async def test_streams_begin_in_line() -> None:
    """Each reads PostgreSQL before its first byte: thousands at once took every connection, and were refused."""
    beginning, most, ended = 0, 0, asyncio.Event()

    async def watch(request: Request) -> StreamingResponse:
        nonlocal beginning, most
        beginning += 1
        most = max(most, beginning)
        for _ in range(10):
            await asyncio.sleep(0)
        beginning -= 1
        if request.url.path.startswith("/tasks/13"):
            raise RuntimeError("broken")
        return StreamingResponse(lasting(), media_type="text/event-stream")

    async def lasting() -> AsyncGenerator[bytes]:
        yield b": connected\n\n"
        await ended.wait()

    transport = httpx2.ASGITransport(Admission(Starlette(routes=[Route("/tasks/{id}/stream", watch)])))
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
        flood = [asyncio.ensure_future(client.get(f"/tasks/{number}/stream")) for number in range(500)]

        async def quiet() -> bool:
            return beginning == 0 and most > 0

        await until(quiet)
        ended.set()
        answers = await asyncio.gather(*flood, return_exceptions=True)
    broken = [answer for answer in answers if isinstance(answer, BaseException)]
    assert len(broken) == 11 and most == STREAMS_BEGINNING, "who broke gave the place back"
    assert {answer.status_code for answer in answers if isinstance(answer, httpx2.Response)} == {200}


async def test_a_stream_that_waits_too_long_to_begin_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "BEGIN_SECONDS", 0.05)
    held = Held(most=1_000, most_streams=1_000)
    async with held.client:
        viewers = [await held.hold("GET", "/tasks/7/stream") for _ in range(STREAMS_BEGINNING)]
        assert_refused(await held.client.get("/tasks/7/stream"))
        held.let_go()
        assert {(await sent).status_code for sent in viewers} == {200}
        assert (await held.client.get("/tasks/7/stream")).status_code == 200


async def test_who_leaves_while_waiting_takes_nobodys_turn() -> None:
    turns, begun = Turns(1), list[int]()

    async def begin(number: int) -> None:
        await turns.begin()
        begun.append(number)

    waiting = [asyncio.ensure_future(begin(number)) for number in range(4)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert begun == [0, 2, 3]
    async with asyncio.timeout(5):
        await begin(4)
