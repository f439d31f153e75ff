"""The models that a task's agent asks: each call through the journal, under the epoch of its attempt."""

import asyncio
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.calling.completion import ModelAnswer, ModelRequest, Spent
from pavo.gates.domain import Subject
from pavo.llm.calls import Caller, ModelCalls, over
from pavo.tasks.sql import lease
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.work.context.held_epoch import HeldEpoch
from pavo.tasks.work.context.joined_calls import JoinedCalls
from pavo.tasks.work.context.shown_answers import ShownAnswer, ShownAnswers
from pavo.tasks.work.context.tokens_without_step import TokensWithoutStep
from pavo.usage.domain import Payer

GRACE_SECONDS: Final = 10.0
"""So long an answer may still come once the task is told to stop: after that nobody could record it."""


def model_subject(task: Assignment, version: int) -> Subject:
    """Whose calls they are: what was asked for another prompt is other work, also where the version is the same."""
    return Subject(task.id, task.organisation_id, f"e{task.edits}/v{version}" if task.edits else f"v{version}")


class TaskModels:
    """See `agents.calling.completion.Models`; belongs to the agents' loop.

    Args:
        cancelled: of the agent's context.
        payer: whose budgets the calls count against.
        shown: where viewers see what models say.
        guard: against calls that lead to nothing.
    """

    def __init__(
        self,
        calls: ModelCalls,
        subject: Subject,
        held: HeldEpoch,
        cancelled: asyncio.Event,
        payer: Payer,
        shown: ShownAnswers,
        guard: TokensWithoutStep | None = None,
    ) -> None:
        self._models = calls
        self._payer = payer
        self._subject = subject
        self._held = held
        self._cancelled = cancelled
        self._shown = shown
        self._guard = guard
        self._calls = JoinedCalls[ModelAnswer]()

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """What came of it."""
        name = f"model call of {self._subject.id}"
        if self._guard is not None and (refused := await self._guard.refusal()) is not None:
            return refused
        answer = await self._calls.run(request.identity, name, lambda: self._seen(request))
        if self._guard is not None:
            self._guard.count(answer)
        return answer

    async def spent(self) -> Spent:
        """What all of them took so far."""
        return await self._models.spent(self._subject)

    async def _seen(self, request: ModelRequest) -> ModelAnswer:
        with self._shown.place(request.shown) as shown:
            came = False
            try:
                answer = await self._complete(request, shown)
                came = answer.value is not None
                return answer
            finally:
                if shown is not None and not came:
                    shown.take_back()

    async def _complete(self, request: ModelRequest, shown: ShownAnswer | None) -> ModelAnswer:
        held = partial(_holds, self._subject)
        caller = Caller(self._subject, self._held.epoch, held, self._payer, lease=lease.HOLDS)
        asking = asyncio.create_task(self._models.complete(caller, request, shown))
        stopping = asyncio.create_task(self._cancelled.wait())
        try:
            await asyncio.wait({asking, stopping}, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait({asking}, timeout=GRACE_SECONDS)
            if not asking.done():
                raise over()
            return asking.result()
        finally:
            stopping.cancel()
            asking.cancel()


async def _holds(subject: Subject, session: AsyncSession, epoch: int) -> bool:
    return await lease.holds(session, subject.id, epoch)
