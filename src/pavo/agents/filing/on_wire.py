"""Artifacts between a worker and an agent's process: in pieces, each answered before the next is sent."""

import base64
import binascii
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, Final

from pavo.agents.filing.artifacts import LIST_PAGE, Keeper
from pavo.artifacts.domain import CHUNK_BYTES, MAX_READ_BYTES, Artifact

OP: Final = "artifact"
"""What the messages are called; `do` says which they are."""
Ask = Callable[..., Awaitable[Any]]


def asked(message: dict[str, Any], keeper: Keeper) -> Coroutine[Any, Any, Any]:
    """What the child asks for, as the wire has it.

    Raises:
        TypeError, ValueError, LookupError: it is no such question; before anything is done.
    """
    do = message["do"]
    if do == "begin":
        return keeper.begin(_text(message["name"]), _text(message["media_type"]))
    if do == "write":
        return keeper.write(_text(message["upload"]), _piece(message["data"]))
    if do == "finish":
        return _finished(keeper, _text(message["upload"]))
    if do == "abandon":
        return keeper.abandon(_text(message["upload"]))
    if do == "page":
        return _page(keeper, _text(message["after"]))
    if do == "read":
        return _read(keeper, _text(message["which"]), _number(message["offset"]), _number(message["length"]))
    raise ValueError("nothing that is done with artifacts")


class WireKeeper:
    """See `artifacts.Keeper`: by way of the worker.

    Args:
        ask: sends a question with these members, and answers what was found.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def begin(self, name: str, media_type: str) -> str:
        """An id for the calls that follow."""
        return str(await self._ask(OP, do="begin", name=name, media_type=media_type))

    async def write(self, upload: str, data: bytes) -> None:
        """Add to what was begun."""
        await self._ask(OP, do="write", upload=upload, data=base64.b64encode(data).decode())

    async def finish(self, upload: str) -> Artifact:
        """Record it."""
        return _load(await self._ask(OP, do="finish", upload=upload))

    async def abandon(self, upload: str) -> None:
        """Forget it."""
        await self._ask(OP, do="abandon", upload=upload)

    async def page(self, after: str, limit: int) -> Sequence[Artifact]:
        """Artifacts by name, after this one; at most as many as the wire has in a page."""
        return [_load(each) for each in await self._ask(OP, do="page", after=after)][:limit]

    async def read(self, which: str, offset: int, length: int) -> bytes:
        """A part of an artifact."""
        return base64.b64decode(await self._ask(OP, do="read", which=which, offset=offset, length=length))


async def _finished(keeper: Keeper, upload: str) -> Any:
    return _dump(await keeper.finish(upload))


async def _page(keeper: Keeper, after: str) -> Any:
    return [_dump(each) for each in await keeper.page(after, LIST_PAGE)]


async def _read(keeper: Keeper, which: str, offset: int, length: int) -> Any:
    return base64.b64encode(await keeper.read(which, offset, min(length, MAX_READ_BYTES))).decode()


def _dump(artifact: Artifact) -> list[Any]:
    told = [artifact.name, artifact.media_type, artifact.bytes, artifact.sha256, artifact.created_at.isoformat()]
    return [str(artifact.id), *told]


def _load(data: list[Any]) -> Artifact:
    identifier, name, media_type, size, sha256, created_at = data
    return Artifact(uuid.UUID(identifier), name, media_type, size, sha256, datetime.fromisoformat(created_at))


def _piece(value: object) -> bytes:
    text = _text(value)
    if len(text) > 2 * CHUNK_BYTES:
        raise ValueError("more than a piece of a file")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("no piece of a file") from error


def _text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise TypeError("no text where one belongs")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**62:
        raise TypeError("no number from 0 on where one belongs")
    return value
