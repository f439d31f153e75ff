"""What waits for somebody, in all their organisations."""

from dataclasses import dataclass
from typing import Final

from pavo.accounts.domain import Identity
from pavo.inbox import repository
from pavo.inbox.repository import Chosen, Waiting
from pavo.kit.pagination import Cursor, Page
from pavo.kit.sql import Database

MAX_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class InboxPage(Page[Waiting]):
    """A page, and how much there is on all of them."""

    total: int


class InboxService:
    """The inbox of each person: whoever is a member may answer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, who: Identity, *, kind: str | None, mine: bool, newest_first: bool, cursor: str | None, limit: int
    ) -> InboxPage:
        """What waits in all their organisations.

        Args:
            kind: question, approval, review or failure; None: all.
            mine: of tasks that they created themselves.

        Raises:
            InvalidInput: the cursor is none.
        """
        after = Cursor.decode(cursor) if cursor else None
        chosen = Chosen(who.organisation_ids, who.user_id if mine else None, kind)
        async with self._database.reading() as session:
            found = await repository.page(session, chosen, after=after, limit=limit + 1, newest_first=newest_first)
            total = await repository.count(session, chosen)
        last = found[limit - 1] if len(found) > limit else None
        return InboxPage(found[:limit], Cursor(last.since, last.id).encode() if last else None, total)
