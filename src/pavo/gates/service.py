"""Use cases of gates: list, show, answer.

What is answered is kept first, as a proposal; the gate's owner, a durable workflow, then closes the gate with the first
that reaches it. So a gate is closed by one answer alone, and closing it and what its owner does next cannot part.
"""

import contextlib
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

from pavo.accounts.domain import Identity
from pavo.accounts.people import creator
from pavo.errors import Forbidden, GateClosed, InvalidInput, NotFound, TooLarge, WrongGateHash, WrongStage
from pavo.gates import repository
from pavo.gates.domain import (
    ANSWERED,
    EXPIRED,
    MAX_ANSWER_BYTES,
    OWNER,
    PAUSED,
    TASK,
    Gate,
    GateState,
    OpenGates,
    same_json,
)
from pavo.kit.json_schema import misfit
from pavo.kit.json_values import NotStorable, plain
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.runs.subjects import Subjects


class GateOwner(Protocol):
    """Whose workflow waits."""

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        """Have the workflow close the gate with this proposal; returns once that is recorded, or it was closed before.

        Raises:
            NotFound: the subject is not theirs.
            WrongStage: nothing waits for it at the moment.
            OutcomeUnknown: no worker took it in time.
        """
        ...


@runtime_checkable
class OwnsGates(Protocol):
    """Use cases of a slice whose subjects have gates."""

    @property
    def gates(self) -> GateOwner:
        """Their owner."""
        ...


class GateOwners:
    """All owners as one: each knows its own subjects, and no other."""

    def __init__(self, owners: Sequence[GateOwner]) -> None:
        self._owners = owners

    async def take(self, who: Identity, gate: Gate, answer_id: uuid.UUID) -> None:
        """Have the one whose subject it is close the gate; raises as each of them does."""
        for owner in self._owners[:-1]:
            with contextlib.suppress(NotFound):
                await owner.take(who, gate, answer_id)
                return
        await self._owners[-1].take(who, gate, answer_id)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which gates somebody wants to see."""

    organisation_id: uuid.UUID | None = None
    """None: of all of theirs."""
    state: GateState | None = None
    kind: str | None = None
    subject_id: uuid.UUID | None = None
    task_id: uuid.UUID | None = None
    """Of a subject that is this task."""
    mine: bool = False
    """Those that they may answer."""
    created_by: str | None = None
    """Of what this user created: an id, an address, or `me`."""
    newest_first: bool = False
    cursor: str | None = None
    limit: int = 50


@dataclass(frozen=True, slots=True)
class GatesFound(Page[Gate]):
    """A page, and how many there are on all of them."""

    total: int


class GateService:
    """The gates of a person's organisations.

    Args:
        owner: of all of them.
        subjects: what they are about.
    """

    def __init__(self, database: Database, owner: GateOwner, subjects: Subjects) -> None:
        self._database = database
        self._owner = owner
        self._subjects = subjects

    async def get(self, who: Identity, gate_id: uuid.UUID) -> Gate:
        """One gate.

        Raises:
            NotFound: unknown, or not theirs.
        """
        async with self._database.reading() as session:
            gate = await repository.get(session, gate_id)
        if gate is None or gate.organisation_id not in who.organisation_ids:
            raise NotFound(f"There is no gate {gate_id}.", field="gate_id", remedy="Look at the list of gates.")
        return gate

    async def page(self, who: Identity, wanted: Wanted) -> GatesFound:
        """The gates of their organisations; a page has a megabyte at most.

        Raises:
            NotFound: the organisation is unknown, or not theirs.
            InvalidInput: the cursor is none.
        """
        after = Cursor.decode(wanted.cursor) if wanted.cursor else None
        theirs = who.of(wanted.organisation_id)
        async with self._database.reading() as session:
            chosen = repository.Chosen(
                theirs,
                wanted.state,
                wanted.kind,
                wanted.subject_id,
                wanted.task_id,
                await creator(session, who, wanted.created_by),
                await repository.owned(session, who.user_id) if wanted.mine else None,
                wanted.newest_first,
            )
            found, more = await repository.page(session, chosen, self._subjects, after=after, limit=wanted.limit)
            whole = after is None and not more  # what is seen is then all there is, also a moment later
            total = len(found) if whole else await repository.count(session, chosen, self._subjects)
        last = found[-1] if more else None
        return GatesFound(found, Cursor(last.opened_at, last.id).encode() if last else None, total)

    async def waiting(self) -> OpenGates:
        """What waits for people, in all organisations."""
        async with self._database.reading() as session:
            return await repository.waiting(session)

    async def answer(self, who: Identity, gate_id: uuid.UUID, content_hash: str, answer: Any, note: str) -> Gate:
        """Answer a gate; as it stands once its owner has the answer.

        Raises:
            NotFound: unknown, or not theirs.
            Forbidden: owners alone may, and they are none.
            WrongGateHash: what was seen is not what is asked.
            InvalidInput, TooLarge: the answer is none that was asked for.
            GateClosed: somebody else was first, or nobody was in time; the text says who.
            WrongStage: its owner rests.
            OutcomeUnknown: no worker took it in time; asking again is safe.
        """
        gate = await self.get(who, gate_id)
        await self._require_may(who, gate)
        if gate.hash != content_hash:
            raise WrongGateHash(
                "This is not what is asked.", field="hash", remedy="Read the gate and answer with its hash."
            )
        value = _checked(gate, answer)
        if gate.state == ANSWERED and gate.answered_by_id == who.user_id and same_json(gate.answer, value):
            _require_same_note(gate, note)
            return gate
        _require_open(gate)
        async with self._database.transaction() as session:
            answer_id = await repository.propose(session, gate_id, value, note, who.user_id, who.email)
        try:
            await self._owner.take(who, gate, answer_id)
        except WrongStage:  # whoever was first may have had it end meanwhile
            _require_open(await self.get(who, gate_id))
            raise
        async with self._database.reading() as session:
            taken = await repository.is_taken(session, gate_id, answer_id)
        now = await self.get(who, gate_id)
        if not taken:
            _require_open(now)
            raise WrongStage("Nothing waits for this answer.", field="state", remedy="Look at the gate again.")
        return now

    async def _require_may(self, who: Identity, gate: Gate) -> None:
        if gate.may_answer != OWNER:
            return
        async with self._database.reading() as session:
            if gate.organisation_id not in await repository.owned(session, who.user_id):
                raise Forbidden(
                    "Only owners of the organisation may answer this: it is about what all its tasks share.",
                    field="gate_id",
                    remedy="Ask an owner to answer it.",
                )


_ASKS_AGAIN: Final = "It asks again if it still wants to know."
_WHEN_PAUSED: Final = {TASK: "Resume the task if it is stopped; it asks again if it still wants to know."}


def _require_same_note(gate: Gate, note: str) -> None:
    """What is said later is not kept; said without a note, the answer again says nothing more."""
    if note and note != gate.note:
        detail = "You gave this answer before; a note that comes after it is not kept."
        remedy = f"Say it to the {gate.subject_kind}."
        raise GateClosed(detail, field="note", remedy=remedy, answered_by=gate.answered_by)


def _require_open(gate: Gate) -> None:
    if gate.state == PAUSED:
        raise WrongStage(
            f"It is not asked at the moment: the {gate.subject_kind} rests, or went on without it.",
            field="state",
            remedy=_WHEN_PAUSED.get(gate.subject_kind, _ASKS_AGAIN),
        )
    if gate.state == EXPIRED:
        remedy = f"Look at what the {gate.subject_kind} does without."
        raise GateClosed("Nobody answered in time.", field="state", remedy=remedy)
    if gate.state == ANSWERED:
        detail = f"It was answered by {gate.answered_by}."
        raise GateClosed(detail, field="state", remedy="Look at the answer.", answered_by=gate.answered_by)


def _checked(gate: Gate, answer: Any) -> Any:
    try:
        value, size = plain(answer)
    except NotStorable as error:
        raise InvalidInput(f"This cannot be stored: {error}.", field="answer", remedy=error.remedy) from error
    if size > MAX_ANSWER_BYTES:
        detail = f"The answer has {size:,} bytes, more than {MAX_ANSWER_BYTES:,}."
        raise TooLarge(detail, field="answer", remedy="Shorten it.")
    remedy = (
        f"Answer one of: {', '.join(gate.choices)}." if gate.choices else "Answer what the gate's schema describes."
    )
    try:
        error = misfit(gate.schema, value)
    except Exception as broken:
        detail = f"The agent's schema cannot be applied: {type(broken).__name__}."
        raise InvalidInput(detail, field="answer", remedy="Stop the task, and have its agent repaired.") from broken
    if error is not None:
        place = ".".join(["answer", *(str(part) for part in error.absolute_path)])
        raise InvalidInput(f"{place}: {error.message[:300]}.", field=place, remedy=remedy)
    return value
