"""What the command line asks the API about schedules."""

import uuid
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from pavo.cli.api_client import ApiClient
from pavo.errors import InvalidInput, NotFound
from pavo.schedules.schemas import BackfillOut, FiringOut, FiringPage, PreviewOut, ScheduleList, ScheduleOut

BASE = "/api/schedules"


class ScheduleClient:
    """Schedules of one user's organisations; every method raises `PavoError`s as `ApiClient` does."""

    def __init__(self, api: ApiClient, organisation_id: uuid.UUID | None) -> None:
        self._api = api
        self._organisation_id = organisation_id

    @classmethod
    @contextmanager
    def from_environment(
        cls, url: str | None = None, organisation_id: uuid.UUID | None = None
    ) -> Generator["ScheduleClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api, organisation_id)

    def all(self) -> list[ScheduleOut]:
        """By name."""
        whose = {"organisation_id": str(self._organisation_id)} if self._organisation_id else {}
        return self._api.ask(ScheduleList, "GET", BASE, params=whose).items

    def named(self, reference: str) -> ScheduleOut:
        """The one with this name or id, with its next ten times.

        Raises:
            NotFound: there is none.
            InvalidInput: several organisations have one of this name.
        """
        found = [each for each in self.all() if reference in (each.name, str(each.id))]
        if not found:
            raise NotFound(f"There is no schedule {reference!r}.", field="SCHEDULE", remedy="See: pavo schedule list")
        if len(found) > 1:
            raise InvalidInput("Several have this name.", field="SCHEDULE", remedy="Name it by its id, or give --org.")
        return self._api.ask(ScheduleOut, "GET", f"{BASE}/{found[0].id}")

    def create(self, values: dict[str, Any]) -> ScheduleOut:
        """Make one. Sent once: a second one would find its name taken."""
        whose = {"organisation_id": str(self._organisation_id)} if self._organisation_id else {}
        answer = self._api.send_once("POST", BASE, json={**values, **whose})
        return ScheduleOut.model_validate_json(answer.content)

    def edit(self, one: ScheduleOut, values: dict[str, Any]) -> ScheduleOut:
        """Change what is given, of the version that was looked at."""
        answer = self._api.send_once("PATCH", f"{BASE}/{one.id}", json={**values, "version": one.version})
        return ScheduleOut.model_validate_json(answer.content)

    def pause(self, one: ScheduleOut, reason: str) -> ScheduleOut:
        """Have it start nothing by itself."""
        return self._api.ask(ScheduleOut, "POST", f"{BASE}/{one.id}/pause", json={"reason": reason})

    def resume(self, one: ScheduleOut) -> ScheduleOut:
        """Have it go on."""
        return self._api.ask(ScheduleOut, "POST", f"{BASE}/{one.id}/resume")

    def trigger(self, one: ScheduleOut, overlap: str | None) -> FiringOut:
        """Start it now; by its key it is one start, however often this is sent."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        return self._api.ask(FiringOut, "POST", f"{BASE}/{one.id}/trigger", json={"overlap": overlap}, headers=headers)

    def backfill(self, one: ScheduleOut, wanted: dict[str, Any]) -> BackfillOut:
        """Show the times; with their hash, have them start."""
        answer = self._api.send_once("POST", f"{BASE}/{one.id}/backfill", json=wanted)
        return BackfillOut.model_validate_json(answer.content)

    def firings(self, one: ScheduleOut, count: int) -> list[FiringOut]:
        """The newest ones."""
        found, cursor = list[FiringOut](), None
        while len(found) < count:
            params = {"limit": min(200, count - len(found)), **({"cursor": cursor} if cursor else {})}
            page = self._api.ask(FiringPage, "GET", f"{BASE}/{one.id}/firings", params=params)
            found, cursor = found + page.items, page.next_cursor
            if cursor is None:
                break
        return found

    def preview(self, times: dict[str, Any], count: int) -> PreviewOut:
        """When these times would be."""
        return self._api.ask(PreviewOut, "POST", f"{BASE}/preview", json={"times": times, "count": count})

    def delete(self, one: ScheduleOut) -> None:
        """Remove it."""
        self._api.remove(f"{BASE}/{one.id}")
