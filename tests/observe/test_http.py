"""What the outermost middleware notes of requests that do not just succeed."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Route

from pavo.observe import metrics
from pavo.observe.http import Observed

going = asyncio.Event()


async def broken(request: Request) -> PlainTextResponse:
    raise RuntimeError("broken")


async def stream(request: Request) -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        yield b"data: 1\n\n"
        await going.wait()
        yield b"data: 2\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def slow(request: Request) -> PlainTextResponse:
    await asyncio.sleep(60)
    return PlainTextResponse("late")


APP = Observed(Starlette(routes=[Route("/broken", broken), Route("/stream", stream), Route("/slow", slow)]))


def count(route: str, status: str) -> float:
    return metrics.HTTP_REQUESTS.values[("GET", route, status)]


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(APP, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://test") as found:
        yield found


async def test_an_error_counts_as_500(client: httpx2.AsyncClient) -> None:
    before = count("/broken", "500")
    assert (await client.get("/broken")).status_code == 500
    assert count("/broken", "500") == before + 1 and metrics.HTTP_IN_FLIGHT.values[()] == 0


async def test_a_client_that_leaves_counts_as_499(client: httpx2.AsyncClient) -> None:
    before = count("/slow", "499")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.get("/slow"), 0.05)
    assert count("/slow", "499") == before + 1 and metrics.HTTP_IN_FLIGHT.values[()] == 0


async def test_a_streams_latency_ends_when_it_begins() -> None:
    """By hand: the client above would wait for its end."""
    sent: list[dict[str, object]] = []
    first = asyncio.Event()

    async def receive() -> dict[str, object]:
        await asyncio.sleep(60)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, object]) -> None:
        sent.append(message)
        if message.get("body"):
            first.set()

    labels = ("GET", "/stream")
    metrics.HTTP_SECONDS.observe(0, *labels)
    before = metrics.HTTP_SECONDS.values[labels].sum
    requests = sum(metrics.HTTP_SECONDS.values[labels].counts)
    scope = {"type": "http", "method": "GET", "path": "/stream", "headers": [], "query_string": b"", "root_path": ""}
    serving = asyncio.ensure_future(APP(scope, receive, send))  # type: ignore[arg-type]
    await asyncio.wait_for(first.wait(), 5)
    begun = asyncio.get_running_loop().time()
    assert metrics.HTTP_IN_FLIGHT.values[()] == 1
    while asyncio.get_running_loop().time() - begun < 0.3:
        await asyncio.sleep(0.01)
    going.set()
    await serving
    assert metrics.HTTP_SECONDS.values[labels].sum - before < 0.3, "the 0.3 s in which it was open do not count"
    assert sum(metrics.HTTP_SECONDS.values[labels].counts) == requests + 1 and len(sent) >= 3
