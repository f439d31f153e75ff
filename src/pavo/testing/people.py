"""Whom an agent asks in a trial: everybody answers what the test says, after the agent has waited once."""

from collections.abc import Mapping

from pavo.agents.asking.applicable import check_applicable
from pavo.agents.asking.question import Answered, Question, Waits
from pavo.agents.contract import JSON


class ScriptedPeople:
    """See `agents.asking.question.People`. A question is answered from the life's next attempt on.

    Args:
        answers: by the question's key.
    """

    def __init__(self, answers: Mapping[str, JSON]) -> None:
        self._answers = answers
        self._given: set[str] = set()

    def forget(self) -> None:
        """Another life begins: nobody has answered anything."""
        self._given.clear()

    def missing(self, waits: Waits) -> list[str]:
        """The keys that nobody answers; the others are answered from here on."""
        keys = [question.key for question in waits.questions]
        self._given.update(keys)
        return [key for key in keys if key not in self._answers]

    async def find(self, question: Question) -> Answered | None:
        """The answer, once the agent has waited for it."""
        check_applicable(question)
        return Answered(self._answers[question.key]) if question.key in self._given else None

    async def wait(self, question: Question) -> Answered:
        """Never called: the agent's host waits itself."""
        raise RuntimeError(f"The host waits for {question.key!r}.")
