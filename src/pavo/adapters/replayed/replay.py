"""What an orchestrator that runs from its beginning calls, and whom it asks."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from pavo.agents.asking.question import Answered, People, Question
from pavo.agents.calling.completion import ModelAnswer, ModelRequest, Models, Spent, value_of
from pavo.agents.calling.request import ToolAnswer, ToolRequest, Tools
from pavo.agents.contract import AgentContext
from pavo.errors import AgentRefused, PavoError

MAX_TOLD: Final = 2000
"""Characters of an answer in the event of its round."""


class AsksPeople(BaseException):
    """Leaves the orchestrator when people have to be asked; no code of its own is to take it for an error."""


class Replay:
    """One run of an orchestrator, in one attempt.

    Args:
        told: called with each answer of a model, as data of an event.
    """

    def __init__(self, ctx: AgentContext, told: Callable[[Mapping[str, Any]], None]) -> None:
        self._people = ctx.people
        self._questions: list[Question] = []
        self.failure: PavoError | None = None
        """Why its last call of a model failed, or who said that it is to stop."""
        self.told = told
        self.ctx = replace(
            ctx,
            people=_People(ctx.people, self),
            models=_Models(ctx.models, self),
            tools=_Tools(ctx.tools, self),
        )
        """What the orchestrator is given."""

    def look(self) -> None:
        """Before each call: none is made any more once people are asked, or somebody said to stop.

        Raises:
            AsksPeople, AgentRefused: so it is.
        """
        if self._questions:
            raise AsksPeople
        if isinstance(self.failure, AgentRefused):
            raise self.failure

    def asks(self, question: Question) -> AsksPeople:
        """People have to be asked, when the run has ended."""
        self._questions.append(question)
        return AsksPeople()

    async def ask(self) -> None:
        """Wait for what was asked: the attempt ends meanwhile."""
        if self._questions:
            await asyncio.gather(*(self._people.wait(each) for each in self._questions))


class _People:
    def __init__(self, people: People, replay: Replay) -> None:
        self._people, self._replay = people, replay

    async def find(self, question: Question) -> Answered | None:
        return await self._people.find(question)

    async def wait(self, question: Question) -> Answered:
        raise self._replay.asks(question)


class _Models:
    def __init__(self, models: Models, replay: Replay) -> None:
        self._models, self._replay = models, replay

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        self._replay.look()
        answer = await self._models.complete(request)
        if answer.asks is not None:
            return answer
        try:
            self._replay.told(_said(value_of(answer)))
            self._replay.failure = None
        except PavoError as error:
            self._replay.failure = error
        return answer

    async def spent(self) -> Spent:
        return await self._models.spent()


class _Tools:
    def __init__(self, tools: Tools, replay: Replay) -> None:
        self._tools, self._replay = tools, replay

    async def described(self) -> Sequence[Mapping[str, Any]]:
        return await self._tools.described()

    async def call(self, request: ToolRequest) -> ToolAnswer:
        self._replay.look()
        answer = await self._tools.call(request)
        if answer.refused and answer.error is not None:
            self._replay.failure = AgentRefused(answer.error, remedy=answer.remedy)
        return answer


def _said(completion: Mapping[str, Any]) -> dict[str, Any]:
    message: Mapping[str, Any] = completion["choices"][0]["message"]
    told: dict[str, Any] = {"text": str(message.get("content") or "")[:MAX_TOLD]}
    if message.get("tool_calls"):
        told["tools"] = [str(call.get("function", {}).get("name"))[:200] for call in message["tool_calls"]][:100]
    return told
