"""Files of attempts: kept as artifacts of the job, those of an attempt that lost it under the attempt's number."""

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc
from sqlalchemy.exc import DBAPIError

from pavo.artifacts import recording
from pavo.artifacts.domain import CHUNK_BYTES, checked_media_type, checked_name, too_much
from pavo.artifacts.recording import ArtifactOwner, NewArtifact
from pavo.artifacts.service import not_set
from pavo.artifacts.store import Draft, Staged
from pavo.artifacts.wiring import Keeping
from pavo.errors import Forbidden, InvalidInput, PavoError
from pavo.fleet.calls.leases_and_credentials import refuse
from pavo.fleet.sessions.greeting import attempt_of
from pavo.fleet.sessions.streams import Context, granted, received
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import HeldJob
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.agents.tokens import AgentGrant
from pavo.jobs.sql.access import FileOwner, file_owner
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.protocol import fleet_pb2 as pb

AT_ONCE: Final = 32
"""Files that are being kept; others wait."""
SILENCE_SECONDS: Final = 30.0
"""An agent that sends nothing of its file for so long is cut off."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What is being kept, and whose it is."""

    held: HeldJob
    owner: FileOwner
    name: str
    media_type: str


class KeptFiles:
    """Belongs to one event loop.

    Args:
        keeping: None: nobody has said where files are kept.
    """

    def __init__(self, database: Database, tokens: AgentTokenService, keeping: Keeping | None) -> None:
        self._database, self._tokens, self._keeping = database, tokens, keeping
        self._places = asyncio.Semaphore(AT_ONCE)

    async def put(self, context: Context) -> pb.ArtifactKept:
        """Keep one file."""
        grant = await granted(self._tokens, context)
        try:
            async with self._places:
                return await self._put(grant, context)
        except (PavoError, DBAPIError) as error:
            await refuse(context, error)
            raise

    async def _put(self, grant: AgentGrant, context: Context) -> pb.ArtifactKept:
        keeping = self._keeping
        if keeping is None:
            raise not_set()
        first = await _part(context)
        if first is None:
            raise InvalidInput("A file begins with a part that names it.", field="name")
        named = await self._named(grant, first)
        draft = await asyncio.to_thread(keeping.store.begin)
        try:
            staged = await self._written(context, keeping, draft, first)
        except BaseException:
            await asyncio.to_thread(draft.discard)
            raise
        try:
            return await self._record(keeping, named, staged)
        finally:
            await asyncio.to_thread(keeping.store.discard, staged)

    async def _named(self, grant: AgentGrant, first: pb.ArtifactPart) -> _Named:
        held = attempt_of(first.job_id, first.epoch)
        async with self._database.reading() as reading:
            owner = await sessions.owner_of(reading, grant, held) if held is not None else None
            found = await file_owner(reading, held) if held is not None and owner is not None else None
        if held is None or found is None:
            raise Forbidden("There is no such attempt for this token.", field="job_id")
        name = checked_name(first.name)
        if not found.holds:
            name = checked_name(f"epoch-{held.epoch}/{name}")
        return _Named(held, found, name, checked_media_type(first.media_type or None, name))

    async def _written(self, context: Context, keeping: Keeping, draft: Draft, first: pb.ArtifactPart) -> Staged:
        part: pb.ArtifactPart | None = first
        while part is not None:
            if len(part.content) > CHUNK_BYTES:
                raise InvalidInput(f"A part has {CHUNK_BYTES:,} bytes at most.", field="content")
            if draft.bytes + len(part.content) > keeping.limits.of_task:
                raise too_much("A job", keeping.limits.of_task, "PAVO_ARTIFACTS_TASK_MB")
            await asyncio.to_thread(draft.write, part.content)
            part = await _part(context)
        return await asyncio.to_thread(draft.finish)

    async def _record(self, keeping: Keeping, named: _Named, staged: Staged) -> pb.ArtifactKept:
        new = NewArtifact(named.name, named.media_type, staged)
        owner = ArtifactOwner(named.held.job_id, named.owner.organisation_id)
        await recording.announce(self._database, owner, [new])
        async with self._database.transaction() as session:
            kept = await recording.record(session, keeping.store, keeping.limits, owner, [new])
        added = [each for each in kept if each.new]
        metrics.ARTIFACTS.add(by=len(added))
        metrics.ARTIFACT_BYTES.add(by=sum(each.artifact.bytes for each in added))
        return pb.ArtifactKept(bytes=staged.bytes, sha256=staged.sha256)


async def _part(context: Context) -> pb.ArtifactPart | None:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            part: pb.ArtifactPart | None = await received(context)
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"Nothing of the file came for {SILENCE_SECONDS:g} s.")
        raise
    return part
