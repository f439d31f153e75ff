"""Beginning runs for people and programs: of a published version, or of a text that nobody has published."""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any, Final

from pydantic import BaseModel

from pavo.accounts.domain import Identity
from pavo.errors import InvalidInput
from pavo.flows.checking.checked import KnownNames
from pavo.flows.definition.definition import Definition, definition_of
from pavo.flows.ledger.records import LOCAL, NOUN, Declared
from pavo.flows.published.service import PublishedFlows
from pavo.flows.runs import RunService, checked_inputs
from pavo.kit.json_values import encode_text
from pavo.kit.threads.calls import call_in_thread
from pavo.runs import idempotency

DEFAULT_ENGINE: Final = LOCAL
"""Of runs that name none."""
KEPT: Final = 32
"""Definitions that are kept once they were read."""


class RunRequest(BaseModel):
    """What is asked for, as an Idempotency-Key binds it."""

    organisation_id: uuid.UUID
    flow: str
    """Name, or the text of one that is not published."""
    version: int | None
    inputs: Mapping[str, Any]
    engine: str


class RunStarts:
    """Begins runs."""

    def __init__(self, published: PublishedFlows, runs: RunService) -> None:
        self._published, self._runs = published, runs
        self._reading = asyncio.Semaphore(1)
        self._read: OrderedDict[str, Definition] = OrderedDict()

    async def check(self, asked: RunRequest, later: Collection[str] = ()) -> None:
        """See whether a run of a published version could begin now.

        Args:
            later: names of inputs whose values are not known yet.

        Raises:
            NotFound, InvalidInput: as `of_version`.
        """
        found = await self._published.version(asked.organisation_id, asked.flow, asked.version)
        version = found.version
        definition = await self._definition(Declared(version.name, version.hash, encode_text(found.definition)))
        _check_engine(definition, asked.engine)
        checked_inputs(definition, asked.inputs, later)

    async def of_version(self, who: Identity, asked: RunRequest, key: str | None) -> tuple[uuid.UUID, bool]:
        """Begin a run of a published version, the current one if none is named; its id, and whether it is new.

        Raises:
            NotFound: there is no such version.
            InvalidInput: the inputs are not as the flow declares, or the engine cannot execute it.
            Conflict: the version is deprecated.
            IdempotencyMismatch: the key belongs to another request.
        """
        found = await self._published.version(asked.organisation_id, asked.flow, asked.version)
        version = found.version
        definition = await self._definition(Declared(version.name, version.hash, encode_text(found.definition)))
        return await self._begin(who, asked, definition, key)

    async def of_text(
        self, who: Identity, asked: RunRequest, known: KnownNames, key: str | None
    ) -> tuple[uuid.UUID, bool]:
        """The same, of a text; nothing is published.

        Raises:
            InvalidInput: the flow is wrong, or as `of_version`.
            Conflict, IdempotencyMismatch: as `of_version`.
        """
        declared, _ = await self._published.checked(asked.flow, known, who.user_id)
        return await self._begin(who, asked, await self._definition(declared), key)

    async def _begin(
        self, who: Identity, asked: RunRequest, definition: Definition, key: str | None
    ) -> tuple[uuid.UUID, bool]:
        _check_engine(definition, asked.engine)
        request = None if key is None else idempotency.request_of(key, NOUN, asked)
        try:
            run_id = await self._runs.begin(
                asked.organisation_id, definition, asked.inputs, asked.engine, who=who, request=request
            )
        except idempotency.Repeated as repeated:
            return repeated.subject_id, False
        return run_id, True

    async def _definition(self, declared: Declared) -> Definition:
        """Read one that was checked; one at a time, for it takes a while."""
        async with self._reading:
            found = self._read.get(declared.hash)
            if found is None:
                found = await call_in_thread("flow-read", _definition, declared.text)
                self._read[declared.hash] = found
            self._read.move_to_end(declared.hash)
            while len(self._read) > KEPT:
                self._read.popitem(last=False)
            return found


def _definition(text: str) -> Definition:
    return definition_of(text, lambda sources: [None] * len(sources))


def _check_engine(definition: Definition, engine: str) -> None:
    if definition.undone:
        told = f"No engine of this build does these steps: {', '.join(definition.undone)[:500]}."
        raise InvalidInput(told, field="flow", remedy="`wait_for` comes with a later version.")
    steps = definition.only_on_temporal
    if engine == LOCAL and steps:
        told = f"The local engine cannot run it: {', '.join(steps)[:500]} are Temporal workflows of their own."
        raise InvalidInput(told, field="engine", remedy="Run it on the engine temporal.")
