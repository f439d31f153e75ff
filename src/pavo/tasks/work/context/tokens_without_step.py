"""A guard against calls of models that lead to no checkpoint: beyond so many tokens people are asked whether to go on.

It counts the answers that an attempt was given since the last checkpoint, those that were recorded before among them:
so an attempt that begins again comes to the same question, and finds its answer.
"""

from collections.abc import Mapping
from typing import Any, Final, cast

from sqlalchemy import select

from pavo.agents.asking.question import Answered, Question
from pavo.agents.calling.completion import ModelAnswer
from pavo.kit.sql import Database
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.sql.models import ExecutionRow
from pavo.tasks.work.context.asked_people import TaskPeople

GO_ON: Final = "go on"
STOP: Final = "stop"
REMEDY: Final = "Change the prompt, or raise PAVO_LLM_STEP_TOKENS; then resume the task."


class TokensWithoutStep:
    """Of one attempt; belongs to the agents' loop.

    Args:
        people: who are asked; None: nobody can be, so the call is refused.
        most: tokens.
    """

    def __init__(self, database: Database, task: Assignment, steps: int, people: TaskPeople | None, most: int) -> None:
        self._database = database
        self._task_id = task.id
        self._steps = steps
        self._people = people
        self._most = most
        self._tokens = 0
        self._allowed = most
        """Beyond this many people are asked."""

    def count(self, answer: ModelAnswer) -> None:
        """The agent is given this answer."""
        self._tokens += _tokens_of(answer.value or {})

    async def refusal(self) -> ModelAnswer | None:
        """Why no further call is made; None: it may be.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        while self._tokens >= self._allowed:
            if await self._moved_on():
                break
            told = f"Models took {self._allowed:,} tokens and more after checkpoint {self._steps}, and no other came."
            if self._people is None:
                return ModelAnswer(None, told, REMEDY, refused=True)
            question, answered = await self._answered(self._people, told)
            if answered is None:
                return ModelAnswer(None, told, REMEDY, refused=True, asks=question)
            if answered.value != GO_ON:
                return ModelAnswer(None, f"{told} People said to stop.", REMEDY, refused=True)
            self._allowed += self._most
        return None

    async def _answered(self, people: TaskPeople, told: str) -> tuple[Question, Answered | None]:
        """What people said; a word to stop holds until the task has failed by it, and then they are asked anew."""
        asked, key = 0, f"tokens/{self._steps}/{self._allowed // self._most}"
        while True:
            question = Question(f"{key}/{asked}" if asked else key, f"{told} Go on?", choices=(GO_ON, STOP))
            answered = await people.find(question)
            if answered is None or answered.value == GO_ON or not await people.heard(question):
                return question, answered
            asked += 1

    async def _moved_on(self) -> bool:
        """Whether a checkpoint was recorded meanwhile: then it counts anew."""
        async with self._database.reading() as session:
            query = select(ExecutionRow.step).where(ExecutionRow.task_id == self._task_id)
            step = (await session.scalars(query)).one_or_none()
        if step is None or step == self._steps:
            return False
        self._steps, self._tokens, self._allowed = step, 0, self._most
        return True


def _tokens_of(answer: Mapping[str, Any]) -> int:
    told: Any = answer.get("usage")
    usage = cast("Mapping[str, Any]", told) if isinstance(told, Mapping) else dict[str, Any]()
    found = (usage.get("prompt_tokens"), usage.get("completion_tokens"))
    return sum(each for each in found if type(each) is int and each > 0)
