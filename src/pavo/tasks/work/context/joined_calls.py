"""Calls of one attempt that are under way: the same one, made twice at once, is one."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class JoinedCalls(Generic[T]):
    """By identity. A call goes on to its outcome also where nobody waits for that any more."""

    def __init__(self) -> None:
        self._calls: dict[str, asyncio.Task[T]] = {}

    async def run(self, identity: str, name: str, make: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What comes of the call of this identity, which is made unless it is under way."""
        call = self._calls.get(identity)
        if call is None:
            call = self._calls[identity] = asyncio.create_task(make(), name=name)
            call.add_done_callback(lambda ended: self._ended(identity, ended))
        return await asyncio.shield(call)

    def _ended(self, identity: str, call: asyncio.Task[T]) -> None:
        del self._calls[identity]
        if not call.cancelled():
            call.exception()  # read: whoever made the call may have gone
