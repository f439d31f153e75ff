"""How many requests one process serves at once."""

from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from pavo.errors import Unavailable
from pavo.kit.requests import problem_response

MAX_REQUESTS: Final = 5_000
"""Each costs some 50 KB and a file descriptor; beyond it, waiting longer helps nobody."""
MAX_STREAMS: Final = 4_000
"""Streams last for hours, so viewers alone could fill every place: the thousand above stay for everything else."""
ALWAYS: Final = frozenset({"/healthz"})
"""A supervisor that gets no answer here kills a process that is merely busy."""


def is_stream(path: str) -> bool:
    """Whether a task is watched at this address."""
    return path.endswith("/stream")


class Admission:
    """Refuses requests (503) while too many are in flight: streams from `most_streams` on, everything from `most`
    on."""

    def __init__(self, app: ASGIApp, *, most: int = MAX_REQUESTS, most_streams: int = MAX_STREAMS) -> None:
        self._app = app
        self._most, self._most_streams = most, most_streams
        self._in_flight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["path"] in ALWAYS:
            await self._app(scope, receive, send)
            return
        if self._in_flight >= (self._most_streams if is_stream(scope["path"]) else self._most):
            error = Unavailable("The API serves as many requests as it can.", dependency="api", retry_after=1)
            await problem_response(503, error)(scope, receive, send)
            return
        self._in_flight += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._in_flight -= 1
