"""Files of jobs: what an attempt's agent sends, and the report of its end, kept as artifacts of the job.

Those of the newest attempt have plain names, such as `patch`. When the next one begins, they go to `epoch-N/`; so does
what an older attempt still sends. So no attempt replaces what another one has left.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.artifacts import recording
from pavo.artifacts.domain import MAX_ARTIFACTS, checked_name
from pavo.artifacts.recording import ArtifactOwner, NewArtifact
from pavo.artifacts.store import Staged
from pavo.artifacts.wiring import Keeping
from pavo.errors import Forbidden
from pavo.jobs import events
from pavo.jobs.agents import sessions
from pavo.jobs.agents.sessions import Asking, HeldJob
from pavo.jobs.sql import access
from pavo.kit.sql import Database
from pavo.observe import metrics
from pavo.runs.fence import Fence
from pavo.timeline import service as timeline
from pavo.timeline.domain import Event
from pavo.timeline.publish import Publisher

PATCH: Final = "patch"
"""What an attempt has changed, against its base; as `git apply` takes it."""
FORMER: Final = "epoch-"
"""How names begin of files whose attempt is not the newest any more."""
REPORT: Final = "report"
"""How an attempt went, in Markdown."""


@dataclass(frozen=True, slots=True)
class JobFile:
    """Content that an attempt is to keep under a name."""

    held: HeldJob
    name: str
    media_type: str
    staged: Staged
    asking: Asking | None = None
    """Who sends it; None: Pavo itself has made it."""


class JobFiles:
    """Keeps them.

    Args:
        keeping: where their content lies.
    """

    def __init__(self, database: Database, publisher: Publisher, keeping: Keeping) -> None:
        self._database, self._publisher, self._keeping = database, publisher, keeping

    async def keep(self, new: JobFile) -> None:
        """Keep one; the same one again changes nothing. The caller discards what it has staged.

        Raises:
            Forbidden: the job is gone, or another program runs as the attempt's agent by now.
            ArtifactError: its name is none, or a limit is reached.
            Unavailable: PostgreSQL or the store is away.
        """
        job_id, epoch = new.held.job_id, new.held.epoch
        async with self._database.reading() as reading:
            found = await access.file_owner(reading, new.held)
        if found is None:
            raise Forbidden("There is no such job any more.", field="job_id")
        owner = ArtifactOwner(job_id, found.organisation_id)
        await recording.announce(self._database, owner, [NewArtifact(new.name, new.media_type, new.staged)])
        recorded: list[Event] = []
        async with self._database.transaction() as session:
            # Who reads this waits in `put_aside`: what has a plain name by then is of an attempt before that one.
            await recording.alone(session, job_id)
            place = await access.file_owner(session, new.held)
            if place is None:
                raise Forbidden("There is no such job any more.", field="job_id")
            if new.asking is not None:
                await sessions.owner_of(session, new.asking, new.held)
            name = new.name if place.holds else checked_name(former_name(new.name, epoch))
            named = NewArtifact(name, new.media_type, new.staged)
            kept = await recording.record(session, self._keeping.store, self._keeping.limits, owner, [named])
            added = [each.artifact for each in kept if each.new]
            if added:
                told = [events.artifact_added(epoch, each) for each in added]
                recorded = await timeline.append(session, job_id, told)
        self._publisher.publish(recorded)
        metrics.ARTIFACTS.add(by=len(added))
        metrics.ARTIFACT_BYTES.add(by=sum(each.bytes for each in added))


def former_name(name: str, epoch: int) -> str:
    """Of a file of an attempt that is not the newest any more."""
    return f"{FORMER}{epoch}/{name}"


async def put_aside(session: AsyncSession, held: HeldJob, fence: Fence) -> None:
    """An attempt begins, and has no files yet: those of the ones before it go under their numbers.

    Args:
        fence: of the write that begins it; once that is there, this changes nothing.
    """
    job_id, epoch = held.job_id, held.epoch
    await recording.alone(session, job_id)
    owner = await access.file_owner(session, held)
    if owner is None or not owner.holds or await access.has_begun(session, held, fence):
        return
    begun = [each for each in await access.begun(session, job_id) if each.epoch < epoch]
    if not begun:
        return
    fresh: dict[str, str] = {}
    for each in await recording.listed(session, job_id, "", MAX_ARTIFACTS):
        if not each.name.startswith(FORMER):
            whose = max((one.epoch for one in begun if one.at <= each.created_at), default=begun[0].epoch)
            fresh[each.name] = former_name(each.name, whose)
    await recording.rename(session, job_id, fresh)
