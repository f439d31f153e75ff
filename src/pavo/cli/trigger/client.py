"""What the command line asks the API about triggers."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pavo.cli.api_client import ApiClient
from pavo.errors import InvalidInput, NotFound
from pavo.triggers.schemas import TriggerFiringOut, TriggerFiringPage, TriggerList, TriggerOut, TriggerWithSecretOut

BASE = "/api/triggers"


class TriggerClient:
    """Triggers of one user's organisations; every method raises `PavoError`s as `ApiClient` does."""

    def __init__(self, api: ApiClient, organisation_id: uuid.UUID | None) -> None:
        self._api = api
        self._whose = {"organisation_id": str(organisation_id)} if organisation_id else {}

    @classmethod
    @contextmanager
    def from_environment(
        cls, url: str | None = None, organisation_id: uuid.UUID | None = None
    ) -> Generator["TriggerClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api, organisation_id)

    def all(self) -> list[TriggerOut]:
        """By name."""
        return self._api.ask(TriggerList, "GET", BASE, params=self._whose).items

    def named(self, reference: str) -> TriggerOut:
        """The one with this name or id.

        Raises:
            NotFound: there is none.
            InvalidInput: several organisations have one of this name.
        """
        found = [each for each in self.all() if reference in (each.name, str(each.id))]
        if not found:
            raise NotFound(f"There is no trigger {reference!r}.", field="TRIGGER", remedy="See: pavo trigger list")
        if len(found) > 1:
            raise InvalidInput("Several have this name.", field="TRIGGER", remedy="Name it by its id, or give --org.")
        return found[0]

    def create(self, values: dict[str, Any]) -> TriggerWithSecretOut:
        """Make one. Sent once: a second one would find its name taken."""
        answer = self._api.send_once("POST", BASE, json={**values, **self._whose})
        return TriggerWithSecretOut.model_validate_json(answer.content)

    def pause(self, one: TriggerOut, reason: str) -> TriggerOut:
        """Have it start nothing."""
        return self._api.ask(TriggerOut, "POST", f"{BASE}/{one.id}/pause", json={"reason": reason})

    def resume(self, one: TriggerOut) -> TriggerOut:
        """Have it go on."""
        return self._api.ask(TriggerOut, "POST", f"{BASE}/{one.id}/resume")

    def rotate(self, one: TriggerOut, overlap_seconds: int) -> TriggerWithSecretOut:
        """A new secret. Sent once: each makes one."""
        answer = self._api.send_once("POST", f"{BASE}/{one.id}/rotate", json={"overlap_seconds": overlap_seconds})
        return TriggerWithSecretOut.model_validate_json(answer.content)

    def firings(self, one: TriggerOut, count: int) -> list[TriggerFiringOut]:
        """The newest ones."""
        found, cursor = list[TriggerFiringOut](), None
        while len(found) < count:
            params = {"limit": min(200, count - len(found)), **({"cursor": cursor} if cursor else {})}
            page = self._api.ask(TriggerFiringPage, "GET", f"{BASE}/{one.id}/firings", params=params)
            found, cursor = found + page.items, page.next_cursor
            if cursor is None:
                break
        return found

    def remove(self, one: TriggerOut) -> None:
        """Remove it."""
        self._api.remove(f"{BASE}/{one.id}")
