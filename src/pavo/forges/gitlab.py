"""GitLab's dialect: merge requests, REST version 4."""

import re
from datetime import datetime
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from pavo.errors import AlreadyProposed, BranchMissing, ForgeError
from pavo.forges.asking import Answer, ForgeServer
from pavo.forges.port import (
    CLOSED,
    FAILURE,
    MAX_COMMENT,
    MERGED,
    OPEN,
    Comment,
    CommitStatus,
    Proposal,
    PullRequest,
    in_order,
    newest,
)

PAGE: Final = 100
MAX_PAGES: Final = 3
_DRAFT: Final = "Draft: "
_STATES: Final = {"merged": MERGED, "closed": CLOSED}
"""Others, such as "opened" and "locked" (it is just being merged), are open."""


class _User(BaseModel):
    username: str


class _Project(BaseModel):
    visibility: str = ""


class _Member(_User):
    access_level: int = 0


class _MergeRequest(BaseModel):
    iid: int
    web_url: str
    state: str
    source_branch: str
    target_branch: str
    sha: str | None = None
    title: str = ""
    draft: bool = False
    source_project_id: int | None = None
    target_project_id: int | None = None
    author: _User | None = None


class _Position(BaseModel):
    new_path: str | None = None
    new_line: int | None = None


class _Note(BaseModel):
    id: int
    body: str = ""
    author: _User | None = None
    system: bool = False
    updated_at: datetime
    position: _Position | None = None


_ONE: Final = TypeAdapter(_MergeRequest)
_SOME: Final = TypeAdapter(list[_MergeRequest])
_PROJECT: Final = TypeAdapter(_Project)
_MEMBERS: Final = TypeAdapter(list[_Member])
_DEVELOPER: Final = 30
"""The level of access from which on one may push."""
_BOT: Final = re.compile(r"(project|group)_\d+_bot", re.ASCII)
_NOTES: Final = TypeAdapter(list[_Note])


class GitLab:
    """Merge requests of one project at GitLab."""

    def __init__(self, server: ForgeServer) -> None:
        self._server = server
        self._project = f"/projects/{quote(server.project.path, safe='')}"

    async def find(self, head: str) -> list[PullRequest]:
        """As the port says."""
        query = {"source_branch": head, "state": "all", "per_page": PAGE, "order_by": "created_at", "sort": "desc"}
        answer = await self._server.ask("GET", f"{self._project}/merge_requests", query=query)
        found = self._server.read(answer, _SOME)
        mine = [each for each in found if each.source_project_id == each.target_project_id]
        return in_order([_pull_request(each) for each in mine], head)

    async def create(self, proposal: Proposal) -> PullRequest:
        """As the port says; GitLab takes one without a difference."""
        body = {
            "source_branch": proposal.head,
            "target_branch": proposal.base,
            "title": f"{_DRAFT}{proposal.title}" if proposal.draft else proposal.title,
            "description": proposal.body,
        }
        answer = await self._server.ask("POST", f"{self._project}/merge_requests", body=body, told=(400, 409, 422))
        if not answer.well:
            raise await self._why(answer, proposal)
        return _pull_request(self._server.read(answer, _ONE))

    async def update(self, number: int, proposal: Proposal) -> PullRequest:
        """As the port says: GitLab has a draft's mark in its title."""
        draft = (await self.get(number)).draft
        title = f"{_DRAFT}{proposal.title}" if draft else proposal.title
        body = {"title": title, "description": proposal.body}
        answer = await self._server.ask("PUT", f"{self._project}/merge_requests/{number}", body=body)
        return _pull_request(self._server.read(answer, _ONE))

    async def get(self, number: int) -> PullRequest:
        """As the port says."""
        answer = await self._server.ask("GET", f"{self._project}/merge_requests/{number}")
        return _pull_request(self._server.read(answer, _ONE))

    async def comment(self, number: int, text: str) -> None:
        """As the port says."""
        await self._server.ask("POST", f"{self._project}/merge_requests/{number}/notes", body={"body": text})

    async def comments(self, number: int, since: datetime | None) -> list[Comment]:
        """As the port says; what GitLab itself notes is left out."""
        found: list[_Note] = []
        for page in range(1, MAX_PAGES + 1):
            query = {"per_page": PAGE, "page": page, "order_by": "updated_at", "sort": "desc"}
            answer = await self._server.ask("GET", f"{self._project}/merge_requests/{number}/notes", query=query)
            notes = [] if answer.unchanged else self._server.read(answer, _NOTES)
            found += notes
            if len(notes) < PAGE or (since is not None and notes[-1].updated_at < since):
                break
        return newest([_comment(each) for each in found if not each.system], since)

    async def is_private(self) -> bool:
        """As the port says."""
        return (
            self._server.read(await self._server.ask("GET", self._project, whole=True), _PROJECT).visibility
            == "private"
        )

    async def may_write(self, user: str) -> bool:
        """As the port says."""
        query = {"query": user, "per_page": PAGE}
        answer = await self._server.ask("GET", f"{self._project}/members/all", query=query, whole=True)
        found = self._server.read(answer, _MEMBERS)
        return any(each.username == user and each.access_level >= _DEVELOPER for each in found)

    async def set_commit_status(self, commit: str, status: CommitStatus) -> None:
        """As the port says."""
        state = "failed" if status.state == FAILURE else status.state
        body = {"state": state, "name": status.context, "description": status.description[:140]}
        if status.url:
            body["target_url"] = status.url
        answer = await self._server.ask("POST", f"{self._project}/statuses/{commit}", body=body, told=(400,))
        if not answer.well and "cannot transition status" not in answer.said.lower():  # that is: it has it already
            raise self._server.refusal(answer)

    async def _why(self, answer: Answer, proposal: Proposal) -> ForgeError:
        if answer.status == 409 or "already exists" in answer.said.lower():
            return self._server.refusal(answer, AlreadyProposed)
        for branch in (proposal.head, proposal.base):  # versions say that in different words
            path = f"{self._project}/repository/branches/{quote(branch, safe='')}"
            if (await self._server.ask("GET", path, told=(404,))).status == 404:
                return self._server.refusal(answer, BranchMissing, f"Push the branch {branch}, or name another one.")
        return self._server.refusal(answer)


def _pull_request(found: _MergeRequest) -> PullRequest:
    state = _STATES.get(found.state, OPEN)
    title = found.title.removeprefix(_DRAFT)
    return PullRequest(
        found.iid,
        found.web_url,
        state,
        found.source_branch,
        found.target_branch,
        found.sha or "",
        title,
        found.draft,
        found.author.username if found.author else "",
    )


def _comment(note: _Note) -> Comment:
    author = note.author.username if note.author else ""
    place = note.position or _Position()
    text = note.body[:MAX_COMMENT]
    is_bot = _BOT.match(author) is not None
    where = (place.new_path or "", place.new_line)
    return Comment(f"note-{note.id}", author, text, note.updated_at, *where, is_bot=is_bot)
