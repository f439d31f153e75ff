"""Use cases of published flows. Who may call which is decided by the endpoints."""

import asyncio
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.errors import Conflict, InvalidInput
from pavo.flows.checking.checked import CheckedFlow, KnownNames
from pavo.flows.checking.checker import FlowChecker
from pavo.flows.ledger import catalogue, versions
from pavo.flows.ledger.catalogue import WantedFlows
from pavo.flows.ledger.records import Declared, FlowVersion, PublishedFlow, Release
from pavo.flows.published.difference import Difference, difference
from pavo.kit.json_values import decode
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.kit.threads.calls import call_in_thread

RESERVED: Final = frozenset(("schema", "validate", "generate", "export", "import"))
"""Names that are addresses beside those of flows."""
RELEASES_SHOWN: Final = 50
COMPARED_AT_ONCE: Final = 2


@dataclass(frozen=True, slots=True)
class Published:
    """What publishing has led to."""

    version: FlowVersion
    created: bool
    """False: it was published before."""
    checked: CheckedFlow


@dataclass(frozen=True, slots=True)
class VersionText:
    """A version, and what it says."""

    version: FlowVersion
    definition: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ShownFlow:
    """A flow by its name."""

    current: VersionText
    newest: int
    releases: Sequence[Release]


class PublishedFlows:
    """Of organisations. Every method that names a flow raises NotFound where the organisation has none.

    Args:
        checker: of strangers' texts.
    """

    def __init__(self, database: Database, checker: FlowChecker) -> None:
        self._database, self._checker = database, checker
        self._comparing = asyncio.Semaphore(COMPARED_AT_ONCE)

    async def publish(
        self,
        organisation_id: uuid.UUID,
        text: str,
        known: KnownNames,
        who: uuid.UUID,
        reason: str = "",
        accepted: str | None = None,
    ) -> Published:
        """Make a text the next version of its name, and the current one. What was published before keeps its number,
        and changes nothing.

        Args:
            accepted: the hash that the text has to have.

        Raises:
            InvalidInput: the flow is wrong; `problems` tells all of it.
            Conflict: it is another one than was accepted.
            Unavailable: others' flows are being checked.
        """
        declared, checked = await self.checked(text, known, who)
        if declared.name in RESERVED:
            told = f"A flow cannot be called {declared.name!r}: the API has something else there."
            raise InvalidInput(told, field="flow", remedy="Choose another name.")
        if accepted is not None and accepted != declared.hash:
            remedy = "Look at it, and accept that hash; or publish the text that was accepted."
            raise Conflict(
                f"The text's hash is {declared.hash}, another one was accepted.", field="accept", remedy=remedy
            )
        async with self._database.transaction() as session:
            number, created = await versions.publish(session, organisation_id, declared, who, reason)
            found, _ = await catalogue.version(session, organisation_id, declared.name, number)
        return Published(found, created, checked)

    async def checked(self, text: str, known: KnownNames, who: uuid.UUID) -> tuple[Declared, CheckedFlow]:
        """What a text says, as it is kept.

        Raises:
            InvalidInput: the flow is wrong.
            Unavailable: others' flows are being checked.
        """
        found = await self._checker.examine(text, known, who)
        checked = found.checked
        if not checked.ok or checked.flow is None or checked.hash is None or found.text is None:
            raise _wrong(checked)
        return Declared(checked.flow, checked.hash, found.text), checked

    async def page(
        self, organisation_id: uuid.UUID, wanted: WantedFlows, cursor: str | None, limit: int
    ) -> Page[PublishedFlow]:
        """By current version, the one that was published last first.

        Raises:
            InvalidInput: the cursor is none of this API's.
        """
        before = None if cursor is None else Cursor.decode(cursor)
        async with self._database.reading() as session:
            found = await catalogue.flows(session, organisation_id, wanted, before, limit + 1)
        last = found[limit - 1].current if len(found) > limit else None
        return Page(found[:limit], None if last is None else Cursor(last.published_at, last.id).encode())

    async def get(self, organisation_id: uuid.UUID, name: str) -> ShownFlow:
        """A flow: its current version, and which were current before."""
        async with self._database.reading() as session:
            current, text = await catalogue.version(session, organisation_id, name)
            [newest] = await catalogue.versions(session, organisation_id, name, None, 1)
            releases = await catalogue.releases(session, organisation_id, name, RELEASES_SHOWN)
        return ShownFlow(VersionText(current, decode(text)), newest.number, releases)

    async def versions(
        self, organisation_id: uuid.UUID, name: str, before: int | None, limit: int
    ) -> tuple[Sequence[FlowVersion], int | None]:
        """The newest first; and below which number the next page begins."""
        async with self._database.reading() as session:
            found = await catalogue.versions(session, organisation_id, name, before, limit + 1)
            if not found and before is None:
                await catalogue.version(session, organisation_id, name)
        return found[:limit], found[limit - 1].number if len(found) > limit else None

    async def version(self, organisation_id: uuid.UUID, name: str, number: int | None = None) -> VersionText:
        """One of them; the current one if none is named."""
        async with self._database.reading() as session:
            found, text = await catalogue.version(session, organisation_id, name, number)
        return VersionText(found, decode(text))

    async def compare(self, organisation_id: uuid.UUID, name: str, before: int, after: int) -> Difference:
        """What differs between two versions."""
        async with self._database.reading() as session:
            _, old = await catalogue.version(session, organisation_id, name, before)
            _, new = await catalogue.version(session, organisation_id, name, after)
        async with self._comparing:
            return await call_in_thread("flow-difference", _compared, old, new)

    async def roll_back(
        self, organisation_id: uuid.UUID, name: str, number: int, who: uuid.UUID, reason: str
    ) -> FlowVersion:
        """Make a version that is there the current one. Runs in progress go on with theirs. Done twice, it is the same.

        Raises:
            Conflict: the version is deprecated.
        """
        async with self._database.transaction() as session:
            found = await self._locked(session, organisation_id, name, number)
            if found.deprecated_at is not None:
                remedy = f"Choose another one, or lift it: pavo flow deprecate {name} {number} --undo"
                raise Conflict(f"Version {number} of {name} is deprecated.", field="number", remedy=remedy)
            if not found.current:
                await versions.release(session, organisation_id, name, number, who, reason, rolled_back=True)
            return (await catalogue.version(session, organisation_id, name, number))[0]

    async def deprecate(self, organisation_id: uuid.UUID, name: str, number: int, reason: str | None) -> FlowVersion:
        """Have no new run of a version; those in progress go on.

        Args:
            reason: None: it is lifted.
        """
        async with self._database.transaction() as session:
            await self._locked(session, organisation_id, name, number)
            await versions.deprecate(session, organisation_id, name, number, reason)
            return (await catalogue.version(session, organisation_id, name, number))[0]

    async def numbers(self, organisation_id: uuid.UUID) -> Mapping[str, Sequence[int]] | None:
        """Of all versions, by name, for checks of what refers to them; None: there are too many."""
        async with self._database.reading() as session:
            return await catalogue.numbers(session, organisation_id)

    async def _locked(self, session: AsyncSession, organisation_id: uuid.UUID, name: str, number: int) -> FlowVersion:
        await versions.lock_name(session, organisation_id, name)
        return (await catalogue.version(session, organisation_id, name, number))[0]


def _compared(old: str, new: str) -> Difference:
    return difference(decode(old), decode(new))


def _wrong(checked: CheckedFlow) -> InvalidInput:
    first, more = checked.problems[0], len(checked.problems) - 1
    told = f"{first.line}:{first.column}: {first.path}: {first.message}.{f' And {more} more.' if more else ''}"
    problems = [each.model_dump() for each in checked.problems]
    return InvalidInput(told, field=first.path, remedy=first.remedy, problems=problems)
