"""Files of attempts: kept as artifacts of the job, those of an attempt that lost it under the attempt's number."""

import asyncio
from dataclasses import dataclass
from typing import Final

import grpc
from sqlalchemy.exc import DBAPIError

from pavo.artifacts.domain import CHUNK_BYTES, checked_media_type, checked_name, too_much
from pavo.artifacts.service import not_set
from pavo.artifacts.store import Draft, Staged
from pavo.artifacts.wiring import Keeping
from pavo.errors import Forbidden, InvalidInput, PavoError
from pavo.fleet.calls.leases_and_credentials import refuse
from pavo.fleet.sessions.greeting import attempt_of
from pavo.fleet.sessions.streams import Context, asking, received
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import Asking, HeldJob
from pavo.jobs.agents.token_service import AgentTokenService
from pavo.jobs.attempt.job_files import FORMER, JobFile, JobFiles
from pavo.kit.sql import Database
from pavo.protocol import fleet_pb2 as pb
from pavo.timeline.publish import Publisher

AT_ONCE: Final = 32
"""Files that are being kept; others wait."""
SILENCE_SECONDS: Final = 30.0
"""An agent that sends nothing of its file for so long is cut off."""


@dataclass(frozen=True, slots=True)
class _Named:
    """What is being kept, and whose it is."""

    held: HeldJob
    name: str
    media_type: str
    bytes: int
    """That it is said to have; 0: nobody said."""
    sha256: str
    """That it is said to have, in hex; empty: nobody said."""


class KeptFiles:
    """Belongs to one event loop.

    Args:
        keeping: None: nobody has said where files are kept.
    """

    def __init__(
        self, database: Database, publisher: Publisher, tokens: AgentTokenService, keeping: Keeping | None
    ) -> None:
        self._database, self._publisher, self._tokens, self._keeping = database, publisher, tokens, keeping
        self._places = asyncio.Semaphore(AT_ONCE)

    async def put(self, context: Context) -> pb.ArtifactKept:
        """Keep one file."""
        who = await asking(self._tokens, context)
        try:
            async with self._places:
                return await self._put(who, context)
        except (PavoError, DBAPIError) as error:
            await refuse(context, error)
            raise

    async def _put(self, who: Asking, context: Context) -> pb.ArtifactKept:
        keeping = self._keeping
        if keeping is None:
            raise not_set()
        first = await _part(context)
        if first is None:
            raise InvalidInput("A file begins with a part that names it.", field="name")
        named = await self._named(who, first)
        draft = await asyncio.to_thread(keeping.store.begin)
        try:
            staged = await self._written(context, keeping, draft, first)
        except BaseException:
            await asyncio.to_thread(draft.discard)
            raise
        try:
            _check(named, staged)
            kept = JobFiles(self._database, self._publisher, keeping)
            await kept.keep(JobFile(named.held, named.name, named.media_type, staged, who))
            return pb.ArtifactKept(bytes=staged.bytes, sha256=staged.sha256)
        finally:
            await asyncio.to_thread(keeping.store.discard, staged)

    async def _named(self, who: Asking, first: pb.ArtifactPart) -> _Named:
        held = attempt_of(first.job_id, first.epoch)
        if held is None:
            raise Forbidden("There is no such attempt.", field="job_id")
        async with self._database.reading() as reading:
            await sessions.owner_of(reading, who, held)
        name = checked_name(first.name)
        if name.startswith(FORMER):
            raise InvalidInput(
                "Names that begin with epoch- are Pavo's own.", field="name", remedy="Choose another one."
            )
        media_type = checked_media_type(first.media_type or None, name)
        return _Named(held, name, media_type, first.bytes, first.sha256)

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


def _check(named: _Named, staged: Staged) -> None:
    """A file that was cut on its way is not kept.

    Raises:
        InvalidInput: it is not what was announced.
    """
    if (named.sha256 or staged.sha256, named.bytes or staged.bytes) != (staged.sha256, staged.bytes):
        told = f"{staged.bytes:,} bytes came with SHA-256 {staged.sha256}: not what was announced."
        raise InvalidInput(told, field="sha256", remedy="Send the file again.")


async def _part(context: Context) -> pb.ArtifactPart | None:
    try:
        async with asyncio.timeout(SILENCE_SECONDS):
            part: pb.ArtifactPart | None = await received(context)
    except TimeoutError:
        await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"Nothing of the file came for {SILENCE_SECONDS:g} s.")
        raise
    return part
