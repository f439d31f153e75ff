"""What a task's agent may read: its organisation's corpus and secrets, what people said to the task, its transcript."""

import uuid
from collections.abc import Collection, Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from pavo.accounts.people import people_by_id
from pavo.accounts.secrets.service import SecretService
from pavo.agents.contract import Former, Hit, UserMessage
from pavo.agents.secrets.declared import absent, check_declared
from pavo.corpus.service import CorpusService
from pavo.kit.sql import Database
from pavo.observe.hidden import Hidden
from pavo.tasks.sql import messages
from pavo.tasks.sql.assignment import plan_of
from pavo.tasks.sql.models import MessageRow
from pavo.tasks.sql.transitions import follow_up
from pavo.transcripts import service as transcripts
from pavo.transcripts.domain import TranscriptMessage, Window


class TaskCorpus:
    """The corpus of one organisation, as its agents see it."""

    def __init__(self, corpus: CorpusService, organisation_id: uuid.UUID) -> None:
        self._corpus = corpus
        self._organisation_id = organisation_id

    async def search(self, query: str, limit: int = 10) -> Sequence[Hit]:
        hits = await self._corpus.search(self._organisation_id, query, limit)
        return [Hit(hit.title, hit.excerpt, hit.rank) for hit in hits]


class TaskInbox:
    """What people said to one task, as its agent reads it."""

    def __init__(self, database: Database, task_id: uuid.UUID) -> None:
        self._database = database
        self._task_id = task_id

    async def messages(self, after: int = 0) -> Sequence[UserMessage]:
        async with self._database.reading() as session:
            rows = await messages.said_after(session, self._task_id, after)
            return await _told(session, rows)

    async def former(self) -> Former | None:
        async with self._database.reading() as session:
            found = await follow_up.followed(session, self._task_id)
            if found is None:
                return None
            rows = await messages.said_after(session, self._task_id, found.first_seq - 1)
            return Former(plan_of(found.plan), found.report.body, await _told(session, rows))


async def _told(session: AsyncSession, rows: Sequence[MessageRow]) -> Sequence[UserMessage]:
    authors = await people_by_id(session, [row.author_id for row in rows])
    return [UserMessage(row.seq or 0, row.body, authors[row.author_id].email, row.created_at) for row in rows]


class TaskTranscript:
    """The transcript of one task, as its agent reads it: see `transcripts.domain.TranscriptSource`."""

    def __init__(self, database: Database, task_id: uuid.UUID) -> None:
        self._database = database
        self._task_id = task_id

    async def window(self, window: Window) -> Sequence[TranscriptMessage]:
        async with self._database.reading() as session:
            return await transcripts.window(session, self._task_id, window)

    async def count(self) -> int:
        async with self._database.reading() as session:
            return await transcripts.count(session, self._task_id)


class TaskSecrets:
    """See `agents.secrets.declared.Secrets`. Whether the agent declares a secret is seen here, in the worker: what runs
    in an agent's process may ask for anything.

    Args:
        declared: the names that the agent's class declares.
        hidden: told of each value.
    """

    def __init__(
        self, secrets: SecretService, organisation_id: uuid.UUID, declared: Collection[str], hidden: Hidden
    ) -> None:
        self._secrets = secrets
        self._organisation_id = organisation_id
        self._declared = declared
        self._hidden = hidden

    async def secret(self, name: str) -> str:
        found = await self._secrets.value(self._organisation_id, check_declared(name, self._declared))
        if found is None:
            raise absent(name)
        self._hidden.add(found)
        return found
