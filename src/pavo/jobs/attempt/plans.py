"""The review of an agent's plan: a gate over its hash, which comments answer as well as an acceptance does."""

import hashlib
import uuid
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.gates import repository as gates
from pavo.gates.domain import ANSWERED, PLAN, Gate, NewGate, Subject
from pavo.jobs.attempt.contracts import ACCEPT, REVISE
from pavo.jobs.domain import NOUN
from pavo.jobs.sql import transitions
from pavo.jobs.sql.models import JobRow

SCHEMA: Final[dict[str, Any]] = {"type": "string", "enum": [ACCEPT, REVISE]}
MAX_PLAN: Final = 100_000
"""Characters that people are shown and the agent is given back; what is beyond is cut, and says so."""
NO_NOTE: Final = "Make another plan: this one is not what is wanted."


def plan_text(said: str) -> str:
    """A plan as it is shown, hashed, accepted and carried out."""
    return said if len(said) <= MAX_PLAN else f"{said[:MAX_PLAN]}\n[The plan was longer; {MAX_PLAN:,} characters.]"


def subject_of(job: JobRow) -> Subject:
    """Whose gates they are: those of another review that the job answers are others."""
    scope = hashlib.sha256(f"{job.prompt}\0{job.feedback}".encode()).hexdigest()[:16]
    return Subject(job.id, job.organisation_id, f"plan:{scope}", NOUN)


async def open_review(session: AsyncSession, job: JobRow, text: str) -> Gate:
    """Ask about a plan, and have webhooks told; one that was accepted before, word by word, is accepted."""
    new = NewGate(PLAN, PLAN, text, hashlib.sha256(text.encode()).hexdigest(), SCHEMA, (ACCEPT, REVISE))
    gate, opened = await gates.open_gate(session, subject_of(job), new)
    if opened:
        await transitions.tell_waiting(session, job.id, PLAN, gate.id)
    return gate


async def accepted_plan(session: AsyncSession, job: JobRow) -> Gate | None:
    """The plan that people accepted for what the job is to do now; its text is what the agent carries out."""
    found = await gates.newest_answered(session, subject_of(job), PLAN)
    return found if found is not None and is_accepted(found) else None


async def comments(session: AsyncSession, job: JobRow) -> str:
    """What people said to the newest plan, where they did not accept it; empty: nothing."""
    found = await gates.newest_answered(session, subject_of(job), PLAN)
    return "" if found is None or is_accepted(found) else found.note or NO_NOTE


async def answered_before(session: AsyncSession, job: JobRow) -> int:
    """How many plans for what the job is to do now people have answered."""
    return await gates.count_answered(session, subject_of(job), PLAN)


def is_accepted(gate: Gate) -> bool:
    """Whether its plan is to be carried out."""
    return gate.state == ANSWERED and gate.answer == ACCEPT


async def close(session: AsyncSession, gate_id: uuid.UUID, answer_id: uuid.UUID) -> tuple[Gate | None, bool, bool]:
    """Close the gate with a proposal: the gate, whether this closed it, and whether it is closed by this proposal."""
    gate, closed = await gates.take(session, gate_id, answer_id)
    return gate, closed, await gates.is_taken(session, gate_id, answer_id)
