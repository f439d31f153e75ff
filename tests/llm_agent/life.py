"""A life of the agent `llm` by hand: its steps are recorded, people answer at once, and it begins again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from pavo.agents.asking.question import Answered, Question
from pavo.agents.calling.completion import ModelAnswer, ModelRequest
from pavo.agents.calling.request import ToolAnswer, ToolRequest
from pavo.agents.contract import JSON, AgentContext, Event, Plan, PlanStep, UserMessage
from pavo.agents.llm_agent.agent import LlmAgent
from pavo.agents.options import completed_options
from pavo.testing.corpus import MemoryCorpus
from pavo.testing.models import TriedModels
from pavo.testing.tools import TriedTools
from pavo.testing.transcript import MemoryTranscript
from pavo.transcripts.domain import Transcript


class People:
    """Those who are asked, and who say something."""

    def __init__(self, answer: Callable[[str], JSON]) -> None:
        self._answer = answer
        self.asked: dict[str, str] = {}
        """Text of each question, by its key: the same one is found again."""
        self._given: dict[str, JSON] = {}
        self.said: list[UserMessage] = []

    async def find(self, question: Question) -> Answered:
        if question.key not in self.asked:
            self.asked[question.key] = question.text
            self._given[question.key] = self._answer(question.key)
        assert self.asked[question.key] == question.text, "another question by the same key"
        return Answered(self._given[question.key])

    async def wait(self, question: Question) -> Answered:
        raise AssertionError(f"nobody answered {question.key}")

    def say(self, text: str) -> None:
        self.said.append(UserMessage(len(self.said) + 1, text, "ada@example.com", datetime.now(UTC)))

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        return [each for each in self.said if each.seq > after]

    async def former(self) -> None:
        return None


class _Models(TriedModels):
    async def complete(self, request: ModelRequest) -> ModelAnswer:
        return await super().complete(replace(request, identity=request.at(1, 0)))


class _Tools(TriedTools):
    async def call(self, request: ToolRequest) -> ToolAnswer:
        return await super().call(replace(request, identity=request.at(1, 0)))


class Life:
    """Of one task that is carried out."""

    def __init__(
        self,
        model: Callable[[Mapping[str, Any]], Any],
        tools: Mapping[str, Callable[..., Any]],
        *,
        answer: Callable[[str], JSON] = lambda _: "go on",
        summary: str = "",
        **options: JSON,
    ) -> None:
        self.agent, self.transcript, self.people = LlmAgent(), MemoryTranscript(), People(answer)
        self.plan = Plan(1, "h", summary or f"Do it.\n\nTools: {', '.join(f'`{name}`' for name in tools)}", STEPS)
        self.options, self.models, self.tools = options, _Models(model), _Tools(tools, {})
        self.checkpoint: JSON = None
        self.events: list[Event] = []
        self.steps = 0

    def context(self) -> AgentContext:
        options = completed_options(LlmAgent.options_schema, self.options)
        found = AgentContext(uuid4(), uuid4(), "Prices", "What is a bolt?", options, MemoryCorpus(()))
        given: dict[str, Any] = {"tools": self.tools, "models": self.models, "people": self.people}
        return replace(found, **given, inbox=self.people, transcript=Transcript(self.transcript))

    async def live(self) -> str:
        """An attempt to its end; the result."""
        async for step in self.agent.execute(self.context(), self.plan, self.checkpoint):
            self.steps += 1
            self.transcript.add(step, self.steps, 1)
            self.checkpoint = step.checkpoint
            self.events += step.events
        return self.checkpoint["result"]


STEPS = [PlanStep("Look it up"), PlanStep("Say it")]
