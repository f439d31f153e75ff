"""Greetings within TLS: whatever a part says to a handshake is a sign of life, and nothing at all is none."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from pavo.deploy.local import liveness
from pavo.deploy.local.machine.ports import free_port, on_loopback

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(serve: Serve) -> AsyncGenerator[str]:
    """The address of a server that does this with each connection."""
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield on_loopback(server.sockets[0].getsockname()[1])
    finally:
        server.close()


async def _refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(bytes.fromhex("15030300020228"))  # TLS's alert of a handshake that failed
    writer.close()


async def _speak_another_language(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    writer.close()


async def _hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    writer.close()


@pytest.mark.parametrize("serve", [_refuse, _speak_another_language, _hang_up])
async def test_a_refused_handshake_is_a_sign_of_life(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 4.0)
    async with serving(serve) as address:
        assert await liveness.heard(address, liveness.GRPC_OVER_TLS)


async def test_who_takes_connections_and_says_nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.3)
    taken = asyncio.Event()

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        taken.set()
        while await reader.read(1_000):
            pass
        writer.close()

    async with serving(say_nothing) as address:
        assert not await liveness.heard(address, liveness.GRPC_OVER_TLS)
    assert taken.is_set()


async def test_where_nobody_listens_it_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "SILENCE_SECONDS", 0.3)
    assert not await liveness.heard(on_loopback(free_port(set())), liveness.GRPC_OVER_TLS)
