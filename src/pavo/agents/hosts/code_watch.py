"""An agent that fails after its code was replaced on disk is not to blame: its worker has to begin anew."""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pavo.agents.asking.question import Waits
from pavo.agents.code_version import CODE, EXIT_OTHER_CODE, CodeVersion, fingerprint_of
from pavo.agents.contract import JSON, FeedbackItem, Plan, PlanDraft, Revision, Step
from pavo.agents.deaths import died_with
from pavo.agents.hosts.agent_host import AgentHost
from pavo.errors import AgentDied, AgentError, Unavailable
from pavo.kit.threads.calls import call_in_thread

logger = logging.getLogger(__name__)
T = TypeVar("T")

_LOOK_SECONDS = 0.25
_SETTLED_SECONDS = 1.5
"""Code that did not change for so long is complete."""
_REPLACED_SECONDS = 60.0
"""Replacing it takes no longer, or nobody does."""


class CodeWatch:
    """Notices that a worker's agents can go on no longer with the code that it has loaded.

    Args:
        begin_anew: has the worker end in order and begin anew with what is on disk; it may be called more than once.
    """

    def __init__(self, begin_anew: Callable[[], None]) -> None:
        self._begin_anew = begin_anew
        self._waiting: asyncio.Task[None] | None = None

    def over(self, host: AgentHost, code: CodeVersion) -> AgentHost:
        """The same host, whose failures are the agent's only as long as its code is still there."""
        return _WatchedHost(host, code, self)

    async def blame(self, error: AgentError | AgentDied | Unavailable, code: CodeVersion) -> Exception:
        """What the attempt failed by."""
        said = isinstance(error, Unavailable) and error.dependency == CODE
        if isinstance(error, Unavailable) and not said:
            return error
        # Of what it imports only now it may have got another version, or nothing. And what ends while it is imported
        # may end with any exit code.
        if await call_in_thread("code-watch", lambda: code.is_still_there):
            return died_with(EXIT_OTHER_CODE) if said else error
        logger.warning("%s The worker begins anew. What failed: %s", code.changed.detail, error.detail)
        if self._waiting is None:
            self._waiting = asyncio.create_task(self._wait_and_begin(code.target))
        return error if isinstance(error, Unavailable) else code.changed

    async def _wait_and_begin(self, target: str) -> None:
        """Until whoever replaces the code seems to be done: a worker that begins in the middle lacks the agent."""
        path, last, settled = tuple(sys.path), "", 0.0
        for _ in range(round(_REPLACED_SECONDS / _LOOK_SECONDS)):
            found = await call_in_thread("code-watch", fingerprint_of, target, path)
            settled = settled + _LOOK_SECONDS if found == last and found else 0.0
            if settled >= _SETTLED_SECONDS:
                break
            last = found
            await asyncio.sleep(_LOOK_SECONDS)
        self._begin_anew()


class _WatchedHost:
    """An AgentHost; see `pavo.agents.hosts.agent_host.AgentHost`."""

    def __init__(self, host: AgentHost, code: CodeVersion, watch: CodeWatch) -> None:
        self._host = host
        self._code = code
        self._watch = watch

    async def plan(self) -> PlanDraft:
        return await self._watched(self._host.plan())

    async def revise(self, plan: Plan, feedback: Sequence[FeedbackItem]) -> Revision:
        return await self._watched(self._host.revise(plan, feedback))

    async def open(self, plan: Plan, checkpoint: JSON | None) -> None:
        return await self._watched(self._host.open(plan, checkpoint))

    async def next_step(self) -> Step | Waits | None:
        return await self._watched(self._host.next_step())

    async def report(self, plan: Plan, checkpoint: JSON | None) -> str:
        return await self._watched(self._host.report(plan, checkpoint))

    def is_open(self) -> bool:
        return self._host.is_open()

    def cancel(self) -> None:
        self._host.cancel()

    async def tell_stack(self) -> None:
        await self._host.tell_stack()

    async def close(self, *, force: bool = False) -> None:
        await self._host.close(force=force)

    async def _watched(self, call: Awaitable[T]) -> T:
        try:
            return await call
        except (AgentError, AgentDied, Unavailable) as error:
            told = await self._watch.blame(error, self._code)
            if told is error:
                raise
            raise told from error
