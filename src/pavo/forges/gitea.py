"""Gitea's dialect, which Forgejo speaks too: REST version 1."""

from datetime import datetime
from typing import Final
from urllib.parse import quote

from pydantic import BaseModel, TypeAdapter

from pavo.errors import AlreadyProposed, BranchMissing, ForgeError, NoDifference
from pavo.forges.asking import Answer, ForgeServer
from pavo.forges.port import (
    CLOSED,
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

PAGE: Final = 50
"""The most that Gitea gives, unless its operator changed that."""
MAX_PAGES: Final = 40
"""Gitea cannot be asked for the pull requests of a head: so many pages of the open ones are looked through,"""
MAX_PAGES_OVER: Final = 4
"""and so many of those that changed last, whatever their state."""
MAX_REVIEWS: Final = 50
"""Whose lines are read: one request each, the newest first."""
_DRAFT: Final = "WIP: "


class _Repository(BaseModel):
    full_name: str
    private: bool = False


class _Rights(BaseModel):
    permission: str = ""


class _Ref(BaseModel):
    label: str = ""
    """The branch, also where it was deleted meanwhile."""
    ref: str = ""
    sha: str = ""
    repo: _Repository | None = None


class _Pull(BaseModel):
    number: int
    html_url: str
    state: str
    merged: bool = False
    draft: bool = False
    title: str = ""
    user: "_User | None" = None
    head: _Ref
    base: _Ref


class _User(BaseModel):
    login: str = ""


class _Said(BaseModel):
    id: int
    body: str = ""
    user: _User | None = None
    updated_at: datetime | None = None
    submitted_at: datetime | None = None
    comments_count: int = 0
    path: str = ""
    position: int | None = None
    original_position: int | None = None


_PULL: Final = TypeAdapter(_Pull)
_PULLS: Final = TypeAdapter(list[_Pull])
_REPOSITORY: Final = TypeAdapter(_Repository)
_RIGHTS: Final = TypeAdapter(_Rights)
_SAID: Final = TypeAdapter(list[_Said] | None)


class Gitea:
    """Pull requests of one repository at Gitea."""

    def __init__(self, server: ForgeServer) -> None:
        self._server = server
        self._repository = f"/repos/{server.project.path}"

    async def find(self, head: str) -> list[PullRequest]:
        """As the port says."""
        if found := await self._look(head, "open", MAX_PAGES):
            return found
        return await self._look(head, "all", MAX_PAGES_OVER)

    async def create(self, proposal: Proposal) -> PullRequest:
        """As the port says: Gitea has a draft's mark in its title."""
        body = {
            "head": proposal.head,
            "base": proposal.base,
            "title": f"{_DRAFT}{proposal.title}" if proposal.draft else proposal.title,
            "body": proposal.body,
        }
        answer = await self._server.ask("POST", f"{self._repository}/pulls", body=body, told=(404, 409, 422))
        if not answer.well:
            raise await self._why(answer, proposal)
        return _pull_request(self._server.read(answer, _PULL))

    async def update(self, number: int, proposal: Proposal) -> PullRequest:
        """As the port says."""
        draft = (await self.get(number)).draft
        body = {"title": f"{_DRAFT}{proposal.title}" if draft else proposal.title, "body": proposal.body}
        answer = await self._server.ask("PATCH", f"{self._repository}/pulls/{number}", body=body)
        return _pull_request(self._server.read(answer, _PULL))

    async def get(self, number: int) -> PullRequest:
        """As the port says."""
        answer = await self._server.ask("GET", f"{self._repository}/pulls/{number}")
        return _pull_request(self._server.read(answer, _PULL))

    async def comment(self, number: int, text: str) -> None:
        """As the port says."""
        await self._server.ask("POST", f"{self._repository}/issues/{number}/comments", body={"body": text})

    async def comments(self, number: int, since: datetime | None) -> list[Comment]:
        """As the port says: comments, reviews with their texts, and what was said to lines."""
        query: dict[str, str | int] = {} if since is None else {"since": since.isoformat()}
        said = [_comment("comment", each) for each in await self._said(f"issues/{number}/comments", query)]
        reviews = await self._reviews(number)
        said += [_comment("review", each) for each in reviews]
        for review in [each for each in reviews if each.comments_count and _is_new(each, since)][-MAX_REVIEWS:]:
            lines = await self._said(f"pulls/{number}/reviews/{review.id}/comments", {})
            said += [_comment("line", each) for each in lines]
        return newest(said, since)

    async def is_private(self) -> bool:
        """As the port says."""
        return self._server.read(await self._server.ask("GET", self._repository, whole=True), _REPOSITORY).private

    async def may_write(self, user: str) -> bool:
        """As the port says: that rights are told may itself take rights, collaborators are told to whoever reads. An
        account that is gone is 422."""
        if user == self._server.project.owner:
            return True
        path = f"{self._repository}/collaborators/{quote(user, safe='')}"
        rights = await self._server.ask("GET", f"{path}/permission", told=(403, 404, 422), whole=True)
        if rights.well:
            return self._server.read(rights, _RIGHTS).permission in ("owner", "admin", "write")
        return (
            await self._server.ask("GET", path, told=(403, 404, 422), whole=True)
        ).well  # 422: an account that is gone

    async def set_commit_status(self, commit: str, status: CommitStatus) -> None:
        """As the port says."""
        body = {"state": status.state, "context": status.context, "description": status.description}
        if status.url:
            body["target_url"] = status.url
        await self._server.ask("POST", f"{self._repository}/statuses/{commit}", body=body)

    async def _look(self, head: str, state: str, pages: int) -> list[PullRequest]:
        found: list[PullRequest] = []
        for page in range(1, pages + 1):
            query = {"state": state, "sort": "recentupdate", "page": page, "limit": PAGE}
            answer = await self._server.ask("GET", f"{self._repository}/pulls", query=query)
            pulls = self._server.read(answer, _PULLS)
            found += [_pull_request(each) for each in pulls if self._is_ours(each)]
            if not pulls or (state == "open" and any(each.head == head for each in found)):
                break
        return in_order(found, head)

    async def _why(self, answer: Answer, proposal: Proposal) -> ForgeError:
        if answer.status == 409:
            return self._server.refusal(answer, AlreadyProposed)
        if answer.status == 422:
            is_none = "changes" in answer.said.lower() or "commits" in answer.said.lower()
            return self._server.refusal(answer, NoDifference if is_none else ForgeError)
        for branch in (proposal.head, proposal.base):
            path = f"{self._repository}/branches/{quote(branch)}"
            if (await self._server.ask("GET", path, told=(404,))).status == 404:
                await self._server.ask("GET", self._repository)  # it is not the repository that is not there
                return self._server.refusal(answer, BranchMissing, f"Push the branch {branch}, or name another one.")
        return self._server.refusal(answer)

    async def _reviews(self, number: int) -> list[_Said]:
        found: list[_Said] = []
        for page in range(1, MAX_PAGES_OVER + 1):
            more = await self._said(f"pulls/{number}/reviews", {"page": page, "limit": PAGE})
            found += more
            if len(more) < PAGE:
                break
        return found

    async def _said(self, path: str, query: dict[str, str | int]) -> list[_Said]:
        answer = await self._server.ask("GET", f"{self._repository}/{path}", query=query)
        found = None if answer.unchanged else self._server.read(answer, _SAID)
        return [each for each in found or () if each.updated_at or each.submitted_at]

    def _is_ours(self, pull: _Pull) -> bool:
        whose = pull.head.repo
        return whose is None or whose.full_name.lower() == self._server.project.path.lower()


def _pull_request(pull: _Pull) -> PullRequest:
    state = MERGED if pull.merged else OPEN if pull.state == "open" else CLOSED
    head = pull.head.label or pull.head.ref
    title = pull.title.removeprefix(_DRAFT)
    author = pull.user.login if pull.user else ""
    return PullRequest(pull.number, pull.html_url, state, head, pull.base.ref, pull.head.sha, title, pull.draft, author)


def _is_new(review: _Said, since: datetime | None) -> bool:
    at = review.updated_at or review.submitted_at
    return since is None or (at is not None and at >= since)


def _comment(what: str, said: _Said) -> Comment:
    at = said.updated_at or said.submitted_at
    assert at is not None  # those without were left out
    author = said.user.login if said.user else ""
    line = said.position or said.original_position or None
    return Comment(f"{what}-{said.id}", author, said.body[:MAX_COMMENT], at, said.path, line)
