"""How many requests one process serves at once."""

import asyncio
from collections import deque
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pavo.errors import Unavailable
from pavo.kit.requests import problem_response

MAX_REQUESTS: Final = 5_000
"""Each costs some 50 KB and a file descriptor; beyond it, waiting longer helps nobody."""
MAX_STREAMS: Final = 4_000
"""Streams last for hours, so viewers alone could fill every place: the thousand above stay for everything else."""
ALWAYS: Final = frozenset({"/healthz"})
"""A supervisor that gets no answer here kills a process that is merely busy."""
STREAMS_BEGINNING: Final = 32
"""Streams that are found and authorised at once; those who come beside wait in line for their turn, not for one of the
few connections to the database, which would end in a refusal."""
AT_A_TIME: Final = 10
"""Requests that begin in one turn of the event loop, each some milliseconds of work: thousands that come at once wait
in a line of their own, and whoever is in `ALWAYS` does not wait behind them."""


def is_stream(path: str) -> bool:
    """Whether a task is watched at this address."""
    return path.endswith(("/stream", "/ws"))


class Turns:
    """Lets a few begin in each turn of the event loop, in the order in which they came. Belongs to one event loop."""

    def __init__(self, at_a_time: int) -> None:
        self._at_a_time = at_a_time
        self._begun = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turning = False

    async def begin(self) -> None:
        """Return when it is one's turn; at once, unless many came at once."""
        if self._begun < self._at_a_time and not self._waiting:
            self._begun += 1
            self._turn_soon()
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._turn_soon()
        await turn

    def _turn_soon(self) -> None:
        if not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turning, self._begun = False, 0
        while self._waiting and self._begun < self._at_a_time:
            turn = self._waiting.popleft()
            if not turn.done():  # who left meanwhile takes nobody's turn
                turn.set_result(None)
                self._begun += 1
        if self._begun:
            self._turn_soon()


BEGIN_SECONDS: Final = 60.0
"""How long a stream waits in line. An EventSource takes a refusal for good, so waiting is the better answer."""


class Beginnings:
    """Lets only so many requests be before the first byte of their answer. Belongs to one event loop."""

    def __init__(self, app: ASGIApp, most: int) -> None:
        self._app = app
        self._places = asyncio.Semaphore(most)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, once there is a place for it."""
        try:
            async with asyncio.timeout(BEGIN_SECONDS):
                await self._places.acquire()
        except TimeoutError:
            await _refuse(scope, receive, send)
            return
        beginning = True

        def begun() -> None:
            nonlocal beginning
            if beginning:
                beginning = False
                self._places.release()

        async def answer(message: Message) -> None:
            begun()
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            begun()


class Admission:
    """Refuses requests (503) while too many are in flight: streams from `most_streams` on, everything from `most`
    on. What comes at once begins a few at a time."""

    def __init__(self, app: ASGIApp, *, most: int = MAX_REQUESTS, most_streams: int = MAX_STREAMS) -> None:
        self._app = app
        self._streams = Beginnings(app, STREAMS_BEGINNING)
        self._most, self._most_streams = most, most_streams
        self._in_flight = 0
        self._turns = Turns(AT_A_TIME)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        watches = is_stream(scope["path"])
        if self._in_flight >= (self._most_streams if watches else self._most):
            await _refuse(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._turns.begin()
            await (self._streams if watches else self._app)(scope, receive, send)
        finally:
            self._in_flight -= 1


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = Unavailable("The API serves as many requests as it can.", dependency="api", retry_after=1)
    await problem_response(503, error)(scope, receive, send)
