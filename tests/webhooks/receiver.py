"""A receiver of webhooks that does what a test wants: answers, or hangs, floods, redirects and sends garbage."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.serving import serving

OK = b"HTTP/1.1 204 No Content\r\n\r\n"
Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Got:
    """A request that arrived."""

    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Where it listens, what arrived, and what it does with it."""

    port: int = 0
    got: list[Got] = field(default_factory=list[Got])
    answer: bytes = OK
    behaviour: Behaviour | None = None
    under_way: int = 0
    most_at_once: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook?x=1"

    def ids(self) -> list[str]:
        return [each.id for each in self.got]

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        return [each.json for each in self.got if each.json["type"] in types]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lines = [line.partition(": ") for line in head.splitlines()[1:] if line]
            headers = {name.lower(): value for name, _, value in lines}
            self.got.append(Got(headers, await reader.readexactly(int(headers["content-length"]))))
            if self.behaviour is None:
                writer.write(self.answer)
                await writer.drain()
            else:
                await self.behaviour(writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.under_way -= 1


@asynccontextmanager
async def receiving(behaviour: Behaviour | None = None) -> AsyncGenerator[Receiver]:
    """A receiver on a port of its own."""
    receiver = Receiver(behaviour=behaviour)
    async with serving(receiver.serve) as receiver.port:
        yield receiver


async def hang(_: asyncio.StreamWriter) -> None:
    """Say nothing until the sender has enough of it."""
    await asyncio.sleep(3600)


def verifies(secret: str, got: Got) -> bool:
    """Whether one of the signatures was made with this secret, computed as a receiver does."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    wanted = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return wanted in got.headers["webhook-signature"].split(" ")
