"""What waits for somebody, in all their organisations."""

from dataclasses import dataclass

from pavo.accounts.domain import Identity
from pavo.accounts.people import creator
from pavo.inbox.repository import Chosen, Waiting, WaitingRows
from pavo.inbox.schemas import InboxWanted
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database
from pavo.runs.subjects import Subjects


@dataclass(frozen=True, slots=True)
class InboxPage(Page[Waiting]):
    """A page, and how much there is on all of them."""

    total: int


class InboxService:
    """The inbox of each person: whoever is a member may answer."""

    def __init__(self, database: Database, subjects: Subjects) -> None:
        self._database = database
        self._rows = WaitingRows(subjects)

    async def page(self, who: Identity, wanted: InboxWanted) -> InboxPage:
        """What waits in their organisations.

        Raises:
            NotFound: the organisation is unknown, or not theirs.
            InvalidInput: the cursor is none.
        """
        after = Cursor.decode(wanted.cursor) if wanted.cursor else None
        theirs, limit, newest_first = who.of(wanted.organisation_id), wanted.limit, wanted.sort == "-since"
        async with self._database.reading() as session:
            created_by = await creator(session, who, wanted.created_by)
            of, answers = (wanted.subject_id, wanted.task_id), who.user_id if wanted.mine else None
            chosen = Chosen(theirs, created_by, wanted.kind, *of, answers)
            found = await self._rows.page(session, chosen, after=after, limit=limit + 1, newest_first=newest_first)
            whole = after is None and len(found) <= limit  # what is seen is then all there is, also a moment later
            total = len(found) if whole else await self._rows.count(session, chosen)
        last = found[limit - 1] if len(found) > limit else None
        return InboxPage(found[:limit], Cursor(last.since, last.id).encode() if last else None, total)
