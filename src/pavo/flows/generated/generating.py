"""From a sentence to a flow: the model is asked, what it says is examined, and it is told what is wrong, some times."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from pavo.errors import PavoError
from pavo.flows.checking.checked import FlowProblem, wrong_as_a_whole
from pavo.flows.generated import prompt
from pavo.flows.generated.answers import Proposed, Refused, Unreadable, answer_of
from pavo.flows.generated.examined import Examination, Proposal, told
from pavo.flows.generated.prompt import Message, Offered

logger = logging.getLogger(__name__)

ROUNDS: Final = 3
"""Answers of the model at most: the first, and two in which it mends what was wrong."""
MAX_TEXT: Final = 100_000
"""Characters of a proposed flow that is wrong, as it is shown."""

Outcome = Literal["proposed", "refused", "failed"]
Examine = Callable[[Proposal], Awaitable[Examination]]


class AsksModel(Protocol):
    """Where the model is."""

    @property
    def may_ask(self) -> bool:
        """Whether there is time for another call."""
        ...

    async def ask(self, messages: Sequence[Message], number: int) -> Mapping[str, Any]:
        """The chat completion.

        Args:
            number: of the call, from 1.

        Raises:
            PavoError: there is none.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be written."""

    request: str
    """In people's words."""
    offered: Offered = field(default_factory=Offered)
    before: str | None = None
    """The flow that is edited."""
    nothing: str = "0.00 USD"
    """No money."""


@dataclass(frozen=True, slots=True)
class Generated:
    """What came of it."""

    outcome: Outcome
    rounds: int
    """Answers of the model."""
    words: str = ""
    """Why it is refused, in the model's words."""
    examination: Examination | None = None
    """Of a flow that is proposed; it is right."""
    problems: Sequence[FlowProblem] = ()
    """Of a failure: what was wrong with the last answer."""
    text: str | None = None
    """Of a failure: the last flow, which is wrong."""


@dataclass(slots=True)
class _Best:
    """The answers so far."""

    right: Examination | None = None
    """A right flow, whose cases may not be."""
    text: str | None = None
    problems: Sequence[FlowProblem] = ()

    def ended(self, rounds: int) -> Generated:
        if self.right is not None:
            return Generated("proposed", rounds, examination=self.right)
        return Generated("failed", rounds, problems=self.problems, text=self.text and self.text[:MAX_TEXT])


async def generate(asks: AsksModel, examine: Examine, wanted: Wanted) -> Generated:
    """Ask until a flow is right and its cases run as they say, at most `ROUNDS` times.

    Raises:
        PavoError: the model gives no answer, and there is no right flow so far.
    """
    messages, best = prompt.first_messages(wanted.request, wanted.offered, wanted.before), _Best()
    for number in range(1, ROUNDS + 1):
        try:
            completion = await asks.ask(messages, number)
        except PavoError as error:
            if best.right is None:
                raise
            logger.info("A flow is shown as it is, for the model was not asked again: %s", error.detail)
            return best.ended(number - 1)
        answer, said = answer_of(completion)
        if isinstance(answer, Refused) and best.right is None:
            return Generated("refused", number, words=answer.words)
        wrong = await _wrong(answer, examine, wanted, best)
        if not wrong or not asks.may_ask:
            return best.ended(number)
        messages = [*messages, *prompt.again(said, wrong)]
    return best.ended(ROUNDS)


async def _wrong(
    answer: Proposed | Refused | Unreadable, examine: Examine, wanted: Wanted, best: _Best
) -> Sequence[str]:
    """What the model is to mend; what is right of the answer is kept."""
    if isinstance(answer, Refused):
        return []
    if isinstance(answer, Unreadable):
        best.problems = wrong_as_a_whole(answer.why, "Ask in other words, or another model.").problems
        return [answer.why]
    found = await examine(_proposal(answer, wanted))
    if not found.checked.ok:
        best.text, best.problems = answer.flow, found.checked.problems
        return told(found.checked.problems)
    wrong = [f"cases: {each}" for each in told(found.case_problems)]
    wrong += [f"case {case.name!r}: {each}" for case in found.tried if not case.made_up for each in case.wrong]
    if best.right is None or not wrong:
        best.right = found
    return wrong


def _proposal(answer: Proposed, wanted: Wanted) -> Proposal:
    return Proposal(
        flow=answer.flow,
        cases=answer.cases,
        before=wanted.before,
        asked=wanted.request,
        known=wanted.offered.known,
        effects=wanted.offered.effects,
        nothing=wanted.nothing,
    )
