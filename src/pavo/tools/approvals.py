"""Whether a call may begin: what its policy says, and what people said when they were asked.

An approval belongs to one call: its identity, its tool and the hash of its arguments. The row of the call has the hash
of the question that Pavo asked about it, so that no other gate, whoever opened it, can stand for that one.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, exists, literal, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession

from pavo.agents.asking.question import Question
from pavo.gates import repository as gates
from pavo.gates.domain import ANSWERED, APPROVAL, BY_DEFAULT, Gate
from pavo.gates.models import GateRow
from pavo.tools.models import ToolCallRow
from pavo.tools.policies.domain import ALLOW, DENY, Verdict

MAX_ARGUMENTS_TOLD: Final = 12_000
"""Bytes of the arguments that people are shown whole; a question may have 16,000."""
_HEAD: Final = 8_000
_TAIL: Final = 3_500
YES: Final = "allow"
FOR_TASK: Final = "allow for this task"
NO: Final = "deny"
ANSWERS: Final = (YES, FOR_TASK, NO)
_EFFECTS: Final = {
    "read": "it changes nothing",
    "idempotent": "running it again changes nothing more",
    "unsafe": "running it twice does it twice",
}
_GO_ON: Final = "Go on without it, or call it with other arguments."
_OWNERS: Final = f"{_GO_ON} Owners of the organisation change its policies."


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a call may begin."""

    granted: bool = False
    question: Question | None = None
    """Where people are to be asked first."""
    denied: str = ""
    """Who denied it, and why; for the agent."""
    remedy: str = ""


GRANTED: Final = Permission(granted=True)


def arguments_told(row: ToolCallRow) -> str:
    """What people read of a call's arguments; that something was cut off is said, and nothing in it is invisible."""
    whole = json.dumps(row.arguments, ensure_ascii=False, indent=1, sort_keys=True)
    text = "".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in whole)
    data = text.encode()
    if len(data) <= MAX_ARGUMENTS_TOLD:
        return text
    head, tail = (part.decode(errors="ignore") for part in (data[:_HEAD], data[-_TAIL:]))
    left = len(text) - len(head) - len(tail)
    return f"{head} …\n\n({left:,} of {len(text):,} characters are not shown here)\n\n… {tail}"


def approval_of(row: ToolCallRow, verdict: Verdict, effect: str) -> Question:
    """What people are asked about a call before it begins."""
    text = (
        f"May {row.tool} be called? Its effect is {effect}: {_EFFECTS[effect]}.\n\n"
        f"{arguments_told(row)}\n\n"
        f"Asked because {verdict.why}.\n"
        f"“{FOR_TASK}” also answers what the same policy would ask about {row.tool} in this task. A note with “{NO}” "
        f"is told to the agent.\n\n"
        f"Call {row.id}, SHA-256 of all arguments:\n{row.arguments_hash}"
    )
    return Question(_key(row), text, ANSWERS, kind=APPROVAL)


async def permission_for(session: AsyncSession, row: ToolCallRow, verdict: Verdict, effect: str) -> Permission:
    """Whether this call may begin now. A person's no holds whatever the policies say, and theirs whatever people said.

    Where people are to be asked, the row keeps which question that is.
    """
    gate = await _answered(session, row)
    if gate is not None and gate.answer == NO:
        why = f": {gate.note}" if gate.note else "."
        return Permission(denied=f"{gate.answered_by} denied this call of {row.tool}{why}", remedy=_GO_ON)
    if verdict.decision == DENY:
        return Permission(denied=f"This call of {row.tool} is denied: {verdict.why}.", remedy=_OWNERS)
    if verdict.decision == ALLOW or gate is not None or await _allowed_for_task(session, row, verdict.rule):
        return GRANTED
    question = approval_of(row, verdict, effect)
    row.approval_hash, row.approval_rule = question.hash, verdict.rule
    return Permission(question=question)


def _key(row: ToolCallRow) -> str:
    return f"approval/{row.tool}/{row.id.hex[-12:]}"


async def _answered(session: AsyncSession, row: ToolCallRow) -> Gate | None:
    """What a person said to the question that was asked about this call, while whichever plan was worked off."""
    if row.approval_hash is None:
        return None
    gate = await gates.answered(session, row.subject_id, _key(row), row.approval_hash)
    by_person = gate is not None and gate.answered_by not in (None, BY_DEFAULT)
    return gate if by_person else None


async def _allowed_for_task(session: AsyncSession, row: ToolCallRow, rule: str) -> bool:
    """Whether people allowed calls of this tool, about which the same was said, for the whole task."""
    other: Any = ToolCallRow.__table__.alias("other")
    same = and_(other.c.subject_id == row.subject_id, other.c.tool == row.tool, other.c.approval_rule == rule)
    # Of any scope: a call of an earlier plan may have been asked about while a later one was worked off.
    asked = and_(GateRow.subject_id == other.c.subject_id, GateRow.hash == other.c.approval_hash)
    by_person = and_(GateRow.state == ANSWERED, GateRow.answered_by != BY_DEFAULT)
    said = and_(GateRow.kind == APPROVAL, by_person, GateRow.answer == literal(FOR_TASK, JSONB))
    return bool((await session.scalars(select(exists().where(same, asked, said)))).one())
