"""What the command line asks the API about jobs ."""

import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final

from cyclopts import Parameter

from pavo.artifacts.schemas import ArtifactOut, ArtifactPage
from pavo.cli.api_client import ApiClient
from pavo.cli.jobs.client import OrganisationClient
from pavo.errors import InvalidInput, NotFound
from pavo.jobs.logs.schemas import JobLogLine, JobLogPage
from pavo.jobs.requests.queue_schemas import PlaceOut, QueueOut
from pavo.jobs.requests.schemas import (
    CancelReceiptOut,
    JobCommandOut,
    JobCommandPage,
    JobOut,
    JobPage,
    ListedJob,
    WorkflowStatusOut,
)
from pavo.timeline.schemas import EventOut, EventPage

JobRef = Annotated[str, Parameter(name="JOB", help="The job's id, the beginning or end of it, or: last.")]
MAX_PAGE: Final = 200
"""The longest page of jobs that the API gives."""


class JobClient:
    """Jobs of one organisation. Every method raises `PavoError`s as `ApiClient` does.

    Args:
        organisation: whose jobs they are.
    """

    def __init__(self, organisation: OrganisationClient) -> None:
        self._organisation = organisation
        self._api = self.api = organisation.api

    @classmethod
    @contextmanager
    def from_environment(
        cls, url: str | None = None, organisation_id: uuid.UUID | None = None
    ) -> Generator["JobClient"]:
        """Over a connection of its own, as `ApiClient.from_environment` makes it."""
        with ApiClient.from_environment(url) as api:
            yield cls(OrganisationClient(api, organisation_id))

    def submit(self, new: dict[str, Any]) -> JobOut:
        """Queue a job."""
        headers = {"Idempotency-Key": uuid.uuid4().hex}
        return self._api.ask(JobOut, "POST", self._organisation.path("jobs"), json=new, headers=headers)

    def newest(self, chosen: dict[str, Any], limit: int) -> list[ListedJob]:
        """The newest of those that are meant."""
        found, cursor = list[ListedJob](), None
        while len(found) < limit:
            wanted = {**chosen, "limit": min(MAX_PAGE, limit - len(found)), **({"cursor": cursor} if cursor else {})}
            page = self._api.ask(JobPage, "GET", self._organisation.path("jobs"), params=wanted)
            found += page.items
            cursor = page.next_cursor
            if cursor is None:
                break
        return found

    def get(self, job_id: uuid.UUID) -> JobOut:
        """One job."""
        return self._api.ask(JobOut, "GET", f"/api/jobs/{job_id}")

    def resolve(self, reference: str) -> JobOut:
        """The job that is meant: an id, the beginning or end of one, or "last".

        Raises:
            NotFound: there is none.
            InvalidInput: it could mean several.
        """
        try:
            return self.get(uuid.UUID(reference))
        except ValueError:
            pass  # not a whole id
        if reference == "last":
            found = self.newest({}, 1)
        elif len(reference) < 4:
            remedy = "Give 4 characters at least."
            raise InvalidInput(f"{reference!r} is too short for a job's id.", field="JOB", remedy=remedy)
        else:
            found = [each for each in self.newest({"q": reference}, MAX_PAGE) if _is(each.id, reference)]
        if not found:
            raise NotFound(f"There is no job {reference!r}.", field="JOB", remedy="See them with: pavo job list")
        if len(found) > 1:
            told = f"{reference!r} may be {len(found)} jobs."
            raise InvalidInput(told, field="JOB", remedy="Give more of the id.")
        return self.get(found[0].id)

    def cancel(self, job_id: uuid.UUID) -> CancelReceiptOut:
        """Cancel one."""
        return self._api.ask(CancelReceiptOut, "POST", f"/api/jobs/{job_id}/cancel")

    def requeue(self, job_id: uuid.UUID) -> JobOut:
        """Queue one again."""
        return self._api.ask(JobOut, "POST", f"/api/jobs/{job_id}/requeue")

    def rework(self, job_id: uuid.UUID, body: str) -> JobOut:
        """Have a review answered. Sent once: a job that waits would be given it again."""
        answer = self._api.send_once("POST", f"/api/jobs/{job_id}/rework", json={"body": body})
        return JobOut.model_validate_json(answer.content)

    def remove(self, job_id: uuid.UUID) -> None:
        """Remove one that is over."""
        self._api.send_once("POST", f"/api/jobs/{job_id}/remove")

    def artifacts(self, job_id: uuid.UUID) -> Iterator[ArtifactOut]:
        """All its files, by name."""
        asked: dict[str, Any] = {"limit": 1000}
        while True:
            page = self._api.ask(ArtifactPage, "GET", f"/api/jobs/{job_id}/artifacts", params=asked)
            yield from page.items
            if page.next_cursor is None:
                return
            asked["cursor"] = page.next_cursor

    def recorded(self, job_id: uuid.UUID) -> Iterator[EventOut]:
        """Its timeline as it is, oldest first."""
        after = 0
        while items := self._events(job_id, after):
            yield from items
            after = items[-1].seq

    def commands(self, job_id: uuid.UUID) -> Iterator[JobCommandOut]:
        """What its agents were told, and what they answered."""
        after: int | None = 0
        while after is not None:
            wanted = {"after": after}
            page = self._api.ask(JobCommandPage, "GET", f"/api/jobs/{job_id}/commands", params=wanted)
            yield from page.items
            after = page.next

    def _events(self, job_id: uuid.UUID, after: int) -> list[EventOut]:
        wanted = {"after": after, "limit": 1000}
        return self._api.ask(EventPage, "GET", f"/api/jobs/{job_id}/events", params=wanted).items

    def adopt(self, job_id: uuid.UUID, epoch: int) -> JobOut:
        """Take over what a lost attempt has done."""
        return self._api.ask(JobOut, "POST", f"/api/jobs/{job_id}/adopt", json={"epoch": epoch})

    def decline(self, job_id: uuid.UUID, epoch: int) -> JobOut:
        """Give up what a lost attempt has not pushed."""
        return self._api.ask(JobOut, "POST", f"/api/jobs/{job_id}/decline", json={"epoch": epoch})

    def move(self, job_id: uuid.UUID, position: int | None, priority: int | None) -> PlaceOut:
        """Give one another place."""
        given = {"position": position, "priority": priority}
        body = {name: value for name, value in given.items() if value is not None}
        return self._api.ask(PlaceOut, "POST", f"/api/jobs/{job_id}/reprioritise", json=body)

    def workflow(self, job_id: uuid.UUID) -> WorkflowStatusOut:
        """What Temporal knows of it."""
        return self._api.ask(WorkflowStatusOut, "GET", f"/api/jobs/{job_id}/workflow-status")

    def log(self, job_id: uuid.UUID, **chosen: Any) -> JobLogPage:
        """A page of its log."""
        wanted = {name: value for name, value in chosen.items() if value is not None}
        return self._api.ask(JobLogPage, "GET", f"/api/jobs/{job_id}/logs", params=wanted)

    def log_lines(self, job_id: uuid.UUID, **chosen: Any) -> Iterator[JobLogLine]:
        """All lines of its log that there are."""
        after = ""
        while True:
            page = self.log(job_id, after=after, limit=1000, **chosen)
            yield from page.items
            if not page.more:
                return
            after = page.next

    def events(self, job_id: uuid.UUID, after: int = 0) -> Iterator[EventOut]:
        """Its timeline, until it is over: see `ApiClient.stream`."""
        return self._api.stream(f"/api/jobs/{job_id}/stream", EventOut.model_validate_json, after)

    def queue(self, limit: int) -> QueueOut:
        """The organisation's queue."""
        return self._api.ask(QueueOut, "GET", self._organisation.path("queue"), params={"limit": limit})

    def pause(self, *, wanted: bool) -> QueueOut:
        """Begin no further job, or jobs again."""
        return self._api.ask(QueueOut, "POST", self._organisation.path("queue", "pause" if wanted else "resume"))

    def limit(self, at_once: int) -> QueueOut:
        """Have so many jobs done at the same time."""
        return self._api.ask(QueueOut, "PATCH", self._organisation.path("queue"), json={"at_once": at_once})


def _is(job_id: uuid.UUID, reference: str) -> bool:
    text = str(job_id)
    return text.startswith(reference.lower()) or text.endswith(reference.lower())
