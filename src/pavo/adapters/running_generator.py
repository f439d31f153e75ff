"""A generator of an orchestrator's that runs: on the event loop, or on a thread of its own."""

import asyncio
import inspect
import sys
import traceback
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from pavo.adapters.agents_thread import AgentsThread
from pavo.errors import AgentRefused

END: Final = object()
"""Instead of an item: there are no more."""
LOOK_SECONDS: Final = 0.1
"""Between two looks whether somebody stops the task."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """What came of asking for the next item, with the state after it."""

    item: Any
    state: Any
    result: Any = None
    """At the END."""


class Orchestrated(Protocol):
    """What is to be done with an orchestrator; for plain generators all of it on their thread."""

    def begin(self) -> Any:
        """Build it, restore its state, call its method; what that answered."""
        ...

    def state(self) -> Any:
        """Its state, to be kept."""
        ...

    def result(self, returned: Any) -> Any:
        """What it came to, when its generator ended with this value."""
        ...


class PlainGenerator:
    """On a thread of its own: it may block."""

    def __init__(self, orchestrated: Orchestrated, thread: AgentsThread) -> None:
        self._orchestrated, self._thread = orchestrated, thread
        self._iterator: Iterator[Any] | None = None

    async def __aenter__(self) -> "PlainGenerator":
        try:
            await self._thread.start()
            await self._thread.run(self._begin)
        except BaseException:
            await self._thread.close(self._close)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._thread.close(self._close)

    async def advance(self) -> Advanced:
        """The next item, or the END."""
        return await self._thread.run(self._advance)

    def _begin(self) -> None:
        answer = self._orchestrated.begin()
        if inspect.iscoroutine(answer):
            answer.close()
        if inspect.iscoroutine(answer) or hasattr(answer, "__anext__"):
            raise AgentRefused("The generator method is asynchronous.", remedy="Say asynchronous = True in the agent.")
        try:
            self._iterator = iter(answer)
        except TypeError as error:
            raise _no_generator(answer) from error

    def _advance(self) -> Advanced:
        assert self._iterator is not None
        try:
            item = next(self._iterator)
        except StopIteration as end:
            return Advanced(END, self._orchestrated.state(), self._orchestrated.result(end.value))
        return Advanced(item, self._orchestrated.state())

    def _close(self) -> None:
        close: Callable[[], None] | None = getattr(self._iterator, "close", None)
        try:
            if close is not None:
                close()
        except BaseException:  # noqa: BLE001 - of a generator that is given up; what it recorded is recorded
            sys.stderr.write(f"Closing the generator failed.\n{traceback.format_exc()}")


class AsyncGenerator:
    """On the agent's event loop, in the agent's own task."""

    def __init__(self, orchestrated: Orchestrated) -> None:
        self._orchestrated = orchestrated
        self._iterator: AsyncIterator[Any] | None = None

    async def __aenter__(self) -> "AsyncGenerator":
        answer = self._orchestrated.begin()
        if inspect.iscoroutine(answer):
            answer = await cast(Coroutine[Any, Any, Any], answer)
        try:
            self._iterator = aiter(answer)
        except TypeError as error:
            raise _no_generator(answer) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        close = getattr(self._iterator, "aclose", None)
        if close is not None:
            await close()

    async def advance(self) -> Advanced:
        """The next item, or the END."""
        assert self._iterator is not None
        try:
            item = await anext(self._iterator)
        except StopAsyncIteration:
            return Advanced(END, self._orchestrated.state(), self._orchestrated.result(None))
        return Advanced(item, self._orchestrated.state())


class Stopping:
    """Within, a function is called once when the event is set; by looks at it, for a task would count as work."""

    def __init__(self, event: asyncio.Event, stop: Callable[[], object]) -> None:
        self._event, self._stop = event, stop
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        self._look()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        if not self._event.is_set():
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)
            return
        try:
            self._stop()
        except BaseException:  # noqa: BLE001 - the step in hand goes on, as if there were no such function
            sys.stderr.write(f"stop() failed.\n{traceback.format_exc()}")


def _no_generator(answer: object) -> AgentRefused:
    return AgentRefused(
        f"The generator method answered {type(answer).__name__}, which yields nothing.",
        remedy="Name a method with `yield` in the agent's `method`.",
    )
