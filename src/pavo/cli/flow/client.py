"""What the command line asks the API about published flows and their runs."""

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import httpx2

from pavo.cli.api_client import ApiClient
from pavo.flows.doctoring.schemas import FlowDoctorOut
from pavo.flows.generated.schemas import MAX_SECONDS, FlowGenerate, GeneratedFlow
from pavo.flows.published.schemas import (
    FlowDifferenceOut,
    FlowOut,
    FlowPage,
    FlowVersionOut,
    FlowVersionPage,
    FlowVersionText,
    ListedFlow,
    PublishedOut,
)
from pavo.flows.shown.schemas import FlowRunOut
from pavo.timeline.schemas import EventOut

MAX_PAGE: Final = 200
"""The longest page that the API gives."""


class FlowClient:
    """Flows of one organisation. Every method raises `PavoError`s as `ApiClient` does.

    Args:
        api: the connection.
        organisation_id: whose they are; None: the user's home.
    """

    def __init__(self, api: ApiClient, organisation_id: uuid.UUID | None = None) -> None:
        self.api = api
        self.of: dict[str, str] = {} if organisation_id is None else {"organisation_id": str(organisation_id)}
        """What each request says of whose they are."""

    @classmethod
    @contextmanager
    def from_environment(
        cls, url: str | None = None, organisation_id: uuid.UUID | None = None
    ) -> Generator["FlowClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(api, organisation_id)

    def publish(self, text: str, reason: str = "", accept: str | None = None) -> PublishedOut:
        """Publish a flow; what is published stays as it is.

        Args:
            accept: the hash that it has to have.
        """
        body = {"text": text, "reason": reason, **({"accept": accept} if accept is not None else {})}
        return self.api.ask(PublishedOut, "POST", "/api/flows", json=body, params=self.of)

    def generate(self, wanted: FlowGenerate) -> GeneratedFlow:
        """Have a model write one; it takes some minutes at most, and is asked for once, for it is paid for."""
        body = wanted.model_dump(exclude_none=True)
        answer = self.api.send_once(
            "POST", "/api/flows/generate", json=body, params=self.of, timeout=httpx2.Timeout(MAX_SECONDS, connect=10)
        )
        return GeneratedFlow.model_validate_json(answer.content)

    def doctor(self, *, repair: bool) -> FlowDoctorOut:
        """What is wrong with runs; with `repair` what can be done about it is done."""
        method, path = ("POST", "/api/flow-doctor/repair") if repair else ("GET", "/api/flow-doctor")
        return self.api.ask(FlowDoctorOut, method, path, params=self.of)

    def flows(self, chosen: dict[str, Any], limit: int | None = None) -> list[ListedFlow]:
        """Those that are meant, the one that was published last first."""
        found, cursor = list[ListedFlow](), None
        while limit is None or len(found) < limit:
            wanted = {**self.of, **chosen, "limit": MAX_PAGE, **({"cursor": cursor} if cursor else {})}
            page = self.api.ask(FlowPage, "GET", "/api/flows", params=wanted)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found[:limit]

    def flow(self, name: str) -> FlowOut:
        """One, by its name."""
        return self.api.ask(FlowOut, "GET", _path(name), params=self.of)

    def versions(self, name: str) -> Iterator[FlowVersionOut]:
        """All of a name, the newest first."""
        before: int | None = None
        while True:
            wanted = {**self.of, "limit": str(MAX_PAGE), **({"before": str(before)} if before else {})}
            page = self.api.ask(FlowVersionPage, "GET", f"{_path(name)}/versions", params=wanted)
            yield from page.items
            before = page.next
            if before is None:
                return

    def version(self, name: str, number: int) -> FlowVersionText:
        """One of them, with what it says."""
        return self.api.ask(FlowVersionText, "GET", f"{_path(name)}/versions/{number}", params=self.of)

    def compare(self, name: str, before: int, after: int) -> FlowDifferenceOut:
        """What differs between two."""
        wanted = {**self.of, "from": str(before), "to": str(after)}
        return self.api.ask(FlowDifferenceOut, "GET", f"{_path(name)}/diff", params=wanted)

    def roll_back(self, name: str, number: int, reason: str) -> FlowVersionOut:
        """Make one the current one."""
        return self._change(name, number, "rollback", {"reason": reason})

    def deprecate(self, name: str, number: int, reason: str | None) -> FlowVersionOut:
        """Have no new run of one; without a reason it is lifted."""
        if reason is None:
            return self._change(name, number, "undeprecate", None)
        return self._change(name, number, "deprecate", {"reason": reason})

    def run(self, run_id: uuid.UUID) -> FlowRunOut:
        """A run, with its steps."""
        return self.api.ask(FlowRunOut, "GET", f"/api/flow-runs/{run_id}")

    def events(self, run_id: uuid.UUID, after: int = 0) -> Iterator[EventOut]:
        """A run's timeline, until it is over: see `ApiClient.stream`."""
        return self.api.stream(f"/api/flow-runs/{run_id}/events", EventOut.model_validate_json, after)

    def _change(self, name: str, number: int, what: str, body: dict[str, Any] | None) -> FlowVersionOut:
        path = f"{_path(name)}/versions/{number}/{what}"
        return self.api.ask(FlowVersionOut, "POST", path, json=body, params=self.of)


def _path(name: str) -> str:
    return f"/api/flows/{quote(name, safe='')}"
