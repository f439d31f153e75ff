"""Whom a task's agent asks: the people of its organisation, by gates of its task and plan."""

from collections.abc import Sequence
from dataclasses import replace

from pavo.agents.asking.applicable import check_applicable
from pavo.agents.asking.question import Answered, Question, Waits
from pavo.gates import repository as gates
from pavo.gates.domain import ANSWERED, EXPIRED, OPEN, NewGate, Subject
from pavo.kit.sql import Database
from pavo.tasks import contracts as c
from pavo.tasks import events
from pavo.tasks.domain import FAILED
from pavo.tasks.sql.assignment import Assignment
from pavo.tasks.sql.transitions import end_attempt
from pavo.tasks.sql.transitions.end_attempt import Wanted
from pavo.tasks.sql.transitions.open_lease import Opened
from pavo.tasks.sql.transitions.writer import TaskWriter
from pavo.tasks.work.context.delegated import delegation_subject
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event


def gate_subject(task: Assignment, version: int) -> Subject:
    """Whose gates they are: answers hold for one version of the plan."""
    return Subject(task.id, task.organisation_id, f"v{version}")


def new_gate(question: Question) -> NewGate:
    """What people are asked.

    What Pavo asks about a call of a tool never expires, nor answers itself: an agent's process hands the question back,
    and its hash says nothing of that.
    """
    if question.kind != "question":
        question = replace(question, expires_seconds=None, default=None, has_default=False)
    return NewGate(
        question.kind,
        question.key,
        question.text,
        question.hash,
        question.answer_schema(),
        question.choices,
        question.expires_seconds,
        question.default,
        question.has_default,
    )


async def ask_people(
    writer: TaskWriter, opened: Opened, waits: Waits, step: int
) -> tuple[c.BatchDone, Sequence[Event]] | None:
    """End an attempt after this step with questions and delegated tasks, in one transaction; the events to publish.
    None: it was lost.

    Where a question was answered meanwhile, or a task is over, the next attempt goes on at once.
    """
    subject = gate_subject(opened.assignment, opened.plan.version)
    # Several calls that wait for one budget, or one approval, wait for the same question.
    asked = [new_gate(question) for question in {each.hash: each for each in waits.questions}.values()]
    wanted = Wanted(asked, waits.delegations, delegation_subject(opened.assignment, opened.plan.version))
    found = await end_attempt.wait_for_others(writer, opened.lease, subject, wanted, [events.progress(step)])
    if found is None:
        return None
    if not found.waits or any(gate.state != OPEN for gate in found.gates):
        return c.BatchDone(c.MORE, step), found.recorded
    expiries = [gate.expires_at.timestamp() for gate in found.gates if gate.expires_at is not None]
    ids = [str(each) for each in (*(gate.id for gate in found.gates), *found.children)]
    wake_at, delegated = min(expiries, default=None), bool(found.children)
    return c.BatchDone(c.WAITS, step, gates=ids, wake_at=wake_at, delegated=delegated), found.recorded


class TaskPeople:
    """See `agents.asking.question.People`."""

    def __init__(self, database: Database, task: Assignment, version: int) -> None:
        self._database = database
        self._subject = gate_subject(task, version)

    async def find(self, question: Question) -> Answered | None:
        """How the question was closed.

        Raises:
            AgentRefused: its schema is none, or its default does not fit.
            Unavailable: PostgreSQL is away.
        """
        check_applicable(question)
        async with self._database.reading() as session:
            gate = await gates.find(session, self._subject, question.key, question.hash)
        if gate is None or gate.state not in (ANSWERED, EXPIRED):
            return None
        return Answered(gate.answer, gate.state == EXPIRED)

    async def heard(self, question: Question) -> bool:
        """Whether the task failed since this was answered: whoever resumed it wants to be asked anew.

        Raises:
            Unavailable: PostgreSQL is away.
        """
        async with self._database.reading() as session:
            gate = await gates.find(session, self._subject, question.key, question.hash)
            if gate is None or gate.answered_at is None:
                return False
            return await timeline.came_after(session, self._subject.id, events.stage(FAILED), gate.answered_at)

    async def wait(self, question: Question) -> Answered:
        """Never called: the agent's host waits itself."""
        raise RuntimeError(f"The host waits for {question.key!r}.")
