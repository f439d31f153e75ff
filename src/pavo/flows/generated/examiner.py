"""Examining what models propose, for an API: in processes that can be ended, so many at once, in turn."""

import asyncio
import logging
from typing import Final

import orjson

from pavo.errors import Unavailable
from pavo.flows.checking.checked import wrong_as_a_whole
from pavo.flows.generated.examined import Examination, Proposal
from pavo.flows.kept_process import Ended, KeptProcess, TooSlow
from pavo.kit.threads.calls import call_in_thread

logger = logging.getLogger(__name__)

PROCESSES: Final = 2
SECONDS: Final = 30.0
"""For one proposal, with its trials."""
WAIT_SECONDS: Final = 60.0
"""For one's turn: whoever waits has paid for an answer."""
ANSWER_BYTES: Final = 10_000_000
_EMPTY: Final = b'{"flow":""}'
_FIRST: Final = orjson.dumps({"bytes": len(_EMPTY)}) + b"\n" + _EMPTY


class ProposalExaminer:
    """Belongs to one event loop. Its processes begin when they are first needed.

    Args:
        seconds: that examining one proposal may take.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._turns = asyncio.Semaphore(PROCESSES)
        self._idle = [
            KeptProcess("pavo.flows.generated.child", _FIRST, seconds=seconds, answer_bytes=ANSWER_BYTES)
            for _ in range(PROCESSES)
        ]
        self._all = tuple(self._idle)
        self._seconds = seconds

    async def examine(self, proposal: Proposal) -> Examination:
        """All that can be said of it. What cannot be examined within its time and memory is wrong for that.

        Raises:
            Unavailable: others' proposals are being examined.
        """
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turns.acquire()
        except TimeoutError:
            remedy = "Repeat it in a moment."
            raise Unavailable(
                "Other flows are being examined.", dependency="flows", retry_after=2, remedy=remedy
            ) from None
        # Who goes away meanwhile leaves the process at work until its answer, or its time, is over.
        examining = asyncio.ensure_future(self._examined(proposal))
        examining.add_done_callback(lambda _: self._turns.release())
        return await asyncio.shield(examining)

    async def close(self) -> None:
        """End the processes."""
        for process in self._all:
            await call_in_thread("flow-proposal-end", process.close)

    async def _examined(self, proposal: Proposal) -> Examination:
        process = self._idle.pop()
        try:
            return await call_in_thread("flow-proposal", self._ask, process, proposal)
        finally:
            self._idle.append(process)

    def _ask(self, process: KeptProcess, proposal: Proposal) -> Examination:
        data = proposal.model_dump_json().encode("utf-8", "replace")
        request = orjson.dumps({"bytes": len(data)}) + b"\n" + data
        for _ in range(2):  # a process that was ended by somebody else is no fault of this flow
            try:
                return Examination.model_validate_json(process.ask(request))
            except TooSlow:
                told = f"examining it took longer than {self._seconds:g} s"
                return Examination(checked=wrong_as_a_whole(told, "Make it smaller, by child flows, or try again."))
            except Ended:
                logger.warning("The process that examined a proposed flow of %s bytes has ended.", f"{len(data):,}")
        told = "examining it takes more memory than it may"
        return Examination(checked=wrong_as_a_whole(told, "Make it smaller, by child flows."))
