"""The usual begin and end of a call of a tool, each in one statement on a kept connection.

What they do is what `ledger`, `policies.service.judge` and the timeline do in one transaction, which goes on to be the
way of every other case: a call that was made before, one that policies do not simply allow, one that made files.
`tests/tools/test_two_ways.py` holds both together.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, LiteralString

from pavo.agents.calling.request import ToolRequest
from pavo.gates.domain import Subject
from pavo.kit.ids import new_id
from pavo.kit.json_values import encode_text
from pavo.kit.sql import KeptConnections
from pavo.timeline.domain import Event, NewEvent, numbered, payload
from pavo.tools.contract import Effect
from pavo.tools.policies.domain import ALLOW, Call, Policy
from pavo.tools.policies.repository import policies_of
from pavo.tools.policies.service import verdict_on
from pavo.tools.policies.word import OperatorsWord
from pavo.tools.running import Outcome

Told = Callable[[uuid.UUID, Effect], NewEvent]

_LOOKS: Final = 3
"""So often the organisation's words may have changed since they were looked at, before the long way is taken."""


@dataclass(frozen=True, slots=True)
class Begun:
    """A call whose intent is written."""

    id: uuid.UUID
    effect: Effect
    """What it counts as."""
    events: Sequence[Event]
    """What the timeline says of it."""


@dataclass(frozen=True, slots=True)
class _Words:
    """What an organisation says of a tool, as PostgreSQL told it; the statement sees whether it still says that."""

    mark: str
    effect: Effect | None
    policies: Sequence[Policy]


@dataclass(slots=True)
class AtOnce:
    """Both, for the calls of one subject's agent.

    Args:
        works: SQL that answers whether the attempt of `%(epoch)s` of `%(subject)s` is the newest and has its lease, and
            that no other begins before the statement is committed.
        holds: the same of one that may have given it back.
    """

    connections: KeptConnections
    subject: Subject
    word: OperatorsWord
    works: LiteralString
    holds: LiteralString
    _words: dict[str, _Words] = field(default_factory=dict[str, _Words])

    async def begin(self, request: ToolRequest, call: Call, epoch: int, told: Told) -> Begun | None:
        """Write the intent of a call that none made before and that nothing but an allowance is said of; None: it is
        another case, and nothing is written.

        Args:
            told: makes what the timeline says of a call that begins, by its id and what it counts as.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        call_id = new_id()
        for _ in range(_LOOKS):
            words, effect = self._words.get(call.tool), call.effect
            if words is not None:
                effect, verdict = await verdict_on(words.effect, words.policies, call, self.word)
                if verdict.decision != ALLOW:
                    del self._words[call.tool]  # the next call looks whether it still says so
                    return None
            events = [told(call_id, effect)]
            values = self._values(request, call, epoch, call_id) | {"effect": effect, "events": payload(events)}
            values["words"] = None if words is None else words.mark
            rows = await self.connections.rows(self._begin_statement(), values)
            if not rows or rows[0][0] == "other":
                return None
            outcome, mark, own, policies, first_seq, at = rows[0]
            if outcome == "begun":
                return Begun(call_id, effect, numbered(self.subject.id, first_seq, at, events))
            self._words[call.tool] = _Words(mark, own, policies_of(policies))
        return None

    async def settle(
        self, call_id: uuid.UUID, outcome: Outcome, epoch: int, events: Sequence[NewEvent]
    ) -> Sequence[Event] | None:
        """Record what came of a call; None: it is not this attempt's any more, and nothing was changed.

        Args:
            events: what the timeline says of it.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        statement: LiteralString = f"""
            SELECT s.first_seq, s.at FROM {self.holds} AS held, LATERAL tool_call_settle(
                CASE WHEN held THEN %(call)s::uuid END, %(subject)s, %(epoch)s, %(state)s, %(outcome)s::jsonb,
                %(error)s, %(remedy)s, %(events)s::jsonb
            ) s WHERE held"""
        values = {
            "call": call_id,
            "subject": self.subject.id,
            "epoch": epoch,
            "state": outcome.state,
            "outcome": encode_text(outcome.value),
            "error": outcome.error,
            "remedy": outcome.remedy,
            "events": payload(events),
        }
        rows = await self.connections.rows(statement, values)
        return numbered(self.subject.id, rows[0][0], rows[0][1], events) if rows else None

    def _begin_statement(self) -> LiteralString:
        # Given to the function, `held` is evaluated before it.
        return f"""
            SELECT b.* FROM {self.works} AS held, LATERAL tool_call_begin(
                CASE WHEN held THEN %(call)s::uuid END, %(organisation)s, %(subject)s, %(scope)s, %(identity)s,
                %(tool)s, %(arguments)s::jsonb, %(hash)s, %(effect)s, %(epoch)s, %(agent)s, %(words)s, %(events)s::jsonb
            ) b WHERE held"""

    def _values(self, request: ToolRequest, call: Call, epoch: int, call_id: uuid.UUID) -> dict[str, Any]:
        arguments: Mapping[str, Any] = dict(request.arguments)
        return {
            "call": call_id,
            "organisation": self.subject.organisation_id,
            "subject": self.subject.id,
            "scope": self.subject.scope,
            "identity": request.identity,
            "tool": request.tool,
            "arguments": encode_text(arguments),
            "hash": request.hash,
            "epoch": epoch,
            "agent": call.agent,
        }
