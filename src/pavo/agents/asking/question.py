"""A question of an agent's to people, and what becomes of it."""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, Protocol, TypeAlias

from pavo.agents.delegating.delegation import Delegation
from pavo.errors import AgentRefused

JSON: TypeAlias = Any

KEY: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,99}", re.ASCII)
"""How the key of a question is spelled: it is shown to people, and names what a task waits for."""
QuestionKind: TypeAlias = Literal["question", "effect", "approval", "budget"]
"""effect: whether an unsafe call of a tool happened. approval: whether a call of a tool may begin. budget: what to do
about one that does not suffice."""
MAX_QUESTION_BYTES: Final = 16_000
"""Of its text, its choices and its schema together: people are to read it, and it is an event of the timeline."""
MAX_ANSWER_BYTES: Final = 16_000
MAX_CHOICES: Final = 100
MAX_EXPIRY_SECONDS: Final = 3650 * 86_400.0
NO_DEFAULT: Final = object()
"""A question without an answer for when nobody gives one."""


@dataclass(frozen=True, slots=True)
class Question:
    """What people are asked."""

    key: str
    """Names the question within its task and plan: the same key with the same text is the same question."""
    text: str
    choices: Sequence[str] = ()
    """What may be answered; empty: anything that fits `schema`."""
    schema: Mapping[str, JSON] | None = None
    """JSON Schema (draft 2020-12) of the answer; None without choices: a text."""
    expires_seconds: float | None = None
    """Counted from when it is shown; None: it waits for ever."""
    default: JSON = None
    """The answer once it has expired, where `has_default`."""
    has_default: bool = False
    kind: QuestionKind = "question"
    """That of its gate."""

    @property
    def hash(self) -> str:
        """SHA-256, in hex, of what people are shown: whoever answers names it."""
        shown = [self.key, self.text, list(self.choices), self.schema]
        if self.kind != "question":
            shown.append(self.kind)
        canonical = json.dumps(shown, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()

    def answer_schema(self) -> Mapping[str, JSON]:
        """JSON Schema of what may be answered."""
        if self.choices:
            return {"enum": list(self.choices)}
        return self.schema if self.schema is not None else {"type": "string"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A question that is closed."""

    value: JSON = None
    expired: bool = False
    """Nobody answered in time, and it has no default."""


@dataclass(frozen=True, slots=True)
class Waits:
    """Instead of a step: the agent has nothing to do until one of these is answered, or over."""

    questions: tuple[Question, ...]
    delegations: tuple[Delegation, ...] = ()
    """Tasks that it delegates."""


class People(Protocol):
    """Whom a task's agent may ask."""

    async def find(self, question: Question) -> Answered | None:
        """How the question was closed; None: it is not, or nobody was asked it yet.

        Raises:
            Unavailable: it cannot be looked up.
        """
        ...

    async def wait(self, question: Question) -> Answered:
        """Have people asked, and wait. The attempt may end meanwhile: then this never returns."""
        ...


class NobodyToAsk:
    """For contexts that are made by hand."""

    async def find(self, question: Question) -> Answered | None:
        """Raises: nobody is there."""
        raise _not_here(question)

    async def wait(self, question: Question) -> Answered:
        """Raises: nobody is there."""
        raise _not_here(question)


def _not_here(question: Question) -> AgentRefused:
    return AgentRefused(
        f"Nobody can be asked {question.key!r} here.",
        remedy="Ask in execute() alone: a plan's questions are its review.",
    )
