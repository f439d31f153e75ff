"""Checking flows of strangers for an API: in processes that can be ended, so many at once, in turn."""

import asyncio
import logging
import uuid
from collections import Counter
from typing import Final

import orjson

from pavo.errors import Unavailable
from pavo.flows.checking.checked import CheckedFlow, Examined, KnownNames, wrong_as_a_whole
from pavo.flows.kept_process import Ended, KeptProcess, TooSlow
from pavo.kit.threads.calls import call_in_thread

logger = logging.getLogger(__name__)

PROCESSES: Final = 2
SECONDS: Final = 20.0
"""For one flow; the slowest that are right take five on an idle core."""
WAIT_SECONDS: Final = 10.0
"""For one's turn."""
AT_ONCE: Final = 4
"""Of one person, waiting ones included: nobody keeps the others out."""
ANSWER_BYTES: Final = 10_000_000
"""A hundred problems whose paths are as long as a flow allows are shorter."""
_FIRST: Final = b'{"bytes":2,"known":{},"keep":false}\n{}'


class FlowChecker:
    """Belongs to one event loop. Its processes begin when they are first needed.

    Args:
        seconds: that checking one flow may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._turns = asyncio.Semaphore(PROCESSES)
        self._idle = [
            KeptProcess("pavo.flows.checking.child", _FIRST, seconds=seconds, answer_bytes=ANSWER_BYTES)
            for _ in range(PROCESSES)
        ]
        self._all = tuple(self._idle)
        self._seconds = seconds
        self._asking: Counter[uuid.UUID] = Counter()

    async def check(self, text: str, known: KnownNames, who: uuid.UUID) -> CheckedFlow:
        """All that is wrong with a flow. One that cannot be checked within its time and memory is wrong for that.

        Raises:
            Unavailable: others' flows are being checked, or this person has too many checked at once.
        """
        return (await self.examine(text, known, who, keep=False)).checked

    async def examine(self, text: str, known: KnownNames, who: uuid.UUID, *, keep: bool = True) -> Examined:
        """The same, and what the flow says, where it is right.

        Raises:
            Unavailable: as `check`.
        """
        if self._asking[who] >= AT_ONCE:
            raise _busy(f"{AT_ONCE} flows of yours are being checked")
        self._asking[who] += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            self._leave(who)
            raise _busy("Other flows are being checked") from None
        except BaseException:
            self._leave(who)
            raise
        # Who goes away meanwhile leaves the process at work until its answer, or its time, is over.
        checking = asyncio.ensure_future(self._checked(text, known, keep))
        checking.add_done_callback(lambda _: self._over(who))
        return await asyncio.shield(checking)

    async def close(self) -> None:
        """End the processes."""
        for process in self._all:
            await call_in_thread("flow-check-end", process.close)

    async def _checked(self, text: str, known: KnownNames, keep: bool) -> Examined:
        process = self._idle.pop()
        try:
            return await call_in_thread("flow-check", self._ask, process, text, known, keep)
        finally:
            self._idle.append(process)

    def _ask(self, process: KeptProcess, text: str, known: KnownNames, keep: bool) -> Examined:
        data = text.encode("utf-8", "surrogatepass")
        request = orjson.dumps({"bytes": len(data), "known": known.model_dump(), "keep": keep}) + b"\n" + data
        for _ in range(2):  # a process that was ended by somebody else is no fault of this flow
            try:
                return Examined.model_validate_json(process.ask(request))
            except TooSlow:
                told = f"checking it took longer than {self._seconds:g} s"
                return Examined(checked=wrong_as_a_whole(told, "Make it smaller, by child flows, or try again."))
            except Ended:
                logger.warning("The process that checked a flow of %s bytes has ended.", f"{len(data):,}")
        told = "checking it takes more memory than it may"
        return Examined(checked=wrong_as_a_whole(told, "Make it smaller, by child flows."))

    def _over(self, who: uuid.UUID) -> None:
        self._turns.release()
        self._leave(who)

    def _leave(self, who: uuid.UUID) -> None:
        self._asking[who] -= 1
        if self._asking[who] <= 0:
            del self._asking[who]


def _busy(why: str) -> Unavailable:
    return Unavailable(f"{why}.", dependency="flows", retry_after=2, remedy="Repeat it in a moment.")
