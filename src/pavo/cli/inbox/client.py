"""What the command line asks the API about what waits for people."""

import uuid
from contextlib import suppress
from typing import Any, Final

from pavo.cli.api_client import ApiClient
from pavo.errors import InvalidInput, NotFound
from pavo.gates.schemas import GateOut, GatePage
from pavo.inbox.schemas import InboxItem, InboxOut

MAX_PAGE: Final = 200
"""The longest page that the API gives."""
ASKED: Final = ("question", "approval", "plan")
"""Kinds of what is answered by its gate."""
SHORTEST: Final = 4
"""Characters of an id that mean one."""


class InboxClient:
    """What waits for one user; every method raises `PavoError`s as `ApiClient` does."""

    def __init__(self, api: ApiClient) -> None:
        self._api = api

    def items(self, limit: int, **chosen: Any) -> InboxOut:
        """The first of what waits that is chosen, where that is not None, however many pages that takes."""
        chosen = {name: value for name, value in chosen.items() if value is not None}
        found: list[InboxItem] = []
        while True:
            asked = {**chosen, "limit": min(limit - len(found), MAX_PAGE)}
            page = self._api.ask(InboxOut, "GET", "/api/inbox", params=asked)
            found += page.items
            if page.next_cursor is None or len(found) >= limit:
                return InboxOut(items=found, next_cursor=page.next_cursor, total=page.total)
            chosen["cursor"] = page.next_cursor

    def open_of(self, task_id: uuid.UUID) -> list[GateOut]:
        """The open questions of a task, up to a page of them."""
        chosen = {"task_id": str(task_id), "state": "open"}
        return self._api.ask(GatePage, "GET", "/api/gates", params=chosen).items

    def gate(self, ref: str) -> GateOut:
        """The question that `ref` means: its id, or the beginning or end of it or of its subject's, of what is open.

        Raises:
            NotFound: there is none.
            InvalidInput: it could mean several.
        """
        if (whole := _whole(ref)) is not None:
            with suppress(NotFound):  # it may be that of a task or a job
                return self._api.ask(GateOut, "GET", f"/api/gates/{whole}")
        if len(ref) < SHORTEST:
            raise InvalidInput(f"{ref!r} is too short for an id.", field="ID", remedy="Give 4 characters at least.")
        items = [item for kind in ASKED for item in self.items(MAX_PAGE, kind=kind).items]
        found = [item for item in items if any(_means(ref, one) for one in (item.id, item.subject_id))]
        if not found:
            raise NotFound(f"There is no open question {ref!r}.", field="ID", remedy="See them with: pavo inbox list")
        if len(found) > 1:
            raise InvalidInput(f"{ref!r} may be {len(found)} questions.", field="ID", remedy="Give its own id in full.")
        return self._api.ask(GateOut, "GET", f"/api/gates/{found[0].id}")

    def answer(self, gate: GateOut, answer: Any, note: str = "") -> GateOut:
        """Answer what was shown; sent again it is the same answer."""
        body = {"hash": gate.hash, "answer": answer, "note": note}
        return self._api.ask(GateOut, "POST", f"/api/gates/{gate.id}/answer", json=body)


def _whole(ref: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(ref)
    except ValueError:
        return None


def _means(ref: str, whole: uuid.UUID) -> bool:
    return str(whole).startswith(ref) or str(whole).endswith(ref)
