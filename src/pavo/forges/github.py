"""GitHub's dialect, its own and that of GitHub Enterprise Server: REST, version 2022-11-28."""

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

PAGE: Final = 100
MAX_PAGES: Final = 5
"""Of comments, and of reviews, which GitHub gives from the oldest on."""


class _Repository(BaseModel):
    full_name: str
    private: bool = False


class _Rights(BaseModel):
    permission: str = ""


class _Ref(BaseModel):
    ref: str
    sha: str = ""
    repo: _Repository | None = None
    """None: the fork was deleted."""


class _Pull(BaseModel):
    number: int
    html_url: str
    state: str
    merged_at: datetime | None = None
    draft: bool | None = None
    title: str = ""
    user: "_User | None" = None
    head: _Ref
    base: _Ref


class _User(BaseModel):
    login: str
    type: str = ""


class _Said(BaseModel):
    id: int
    body: str | None = None
    user: _User | None = None
    updated_at: datetime | None = None
    submitted_at: datetime | None = None
    path: str = ""
    line: int | None = None
    original_line: int | None = None
    author_association: str = ""


_PULL: Final = TypeAdapter(_Pull)
_PULLS: Final = TypeAdapter(list[_Pull])
_REPOSITORY: Final = TypeAdapter(_Repository)
_RIGHTS: Final = TypeAdapter(_Rights)
_MEMBERS: Final = frozenset(("OWNER", "MEMBER", "COLLABORATOR"))
_SAID: Final = TypeAdapter(list[_Said])


class GitHub:
    """Pull requests of one repository at GitHub."""

    def __init__(self, server: ForgeServer) -> None:
        self._server = server
        self._repository = f"/repos/{server.project.path}"

    async def find(self, head: str) -> list[PullRequest]:
        """As the port says."""
        query = {"head": f"{self._server.project.owner}:{head}", "state": "all", "per_page": PAGE, "direction": "desc"}
        answer = await self._server.ask("GET", f"{self._repository}/pulls", query=query)
        found = self._server.read(answer, _PULLS)
        return in_order([_pull_request(each) for each in found if self._is_ours(each)], head)

    async def create(self, proposal: Proposal) -> PullRequest:
        """As the port says."""
        answer = await self._post(proposal, draft=proposal.draft)
        if proposal.draft and answer.status == 422 and "draft" in answer.said.lower():
            answer = await self._post(proposal, draft=False)  # a plan of GitHub's that has no drafts
        if not answer.well:
            raise self._why(answer)
        return _pull_request(self._server.read(answer, _PULL))

    async def update(self, number: int, proposal: Proposal) -> PullRequest:
        """As the port says."""
        body = {"title": proposal.title, "body": proposal.body}
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
        when: dict[str, str | int] = {"per_page": PAGE}
        if since is not None:
            when["since"] = since.isoformat()
        lines = when | {"sort": "updated", "direction": "desc"}
        said = await self._said("comment", f"issues/{number}/comments", when)
        said += await self._said("line", f"pulls/{number}/comments", lines)
        said += await self._said("review", f"pulls/{number}/reviews", {"per_page": PAGE})
        return newest(said, since)

    async def is_private(self) -> bool:
        """As the port says."""
        return self._server.read(await self._server.ask("GET", self._repository, whole=True), _REPOSITORY).private

    async def may_write(self, user: str) -> bool:
        """As the port says."""
        path = f"{self._repository}/collaborators/{quote(user, safe='')}/permission"
        answer = await self._server.ask("GET", path, told=(404,), whole=True)
        return answer.well and self._server.read(answer, _RIGHTS).permission in ("admin", "write", "maintain")

    async def set_commit_status(self, commit: str, status: CommitStatus) -> None:
        """As the port says."""
        body = {"state": status.state, "context": status.context, "description": status.description[:140]}
        if status.url:
            body["target_url"] = status.url
        await self._server.ask("POST", f"{self._repository}/statuses/{commit}", body=body)

    async def _post(self, proposal: Proposal, *, draft: bool) -> Answer:
        body = {
            "title": proposal.title,
            "head": proposal.head,
            "base": proposal.base,
            "body": proposal.body,
            "draft": draft,
        }
        return await self._server.ask("POST", f"{self._repository}/pulls", body=body, told=(422,))

    def _why(self, answer: Answer) -> ForgeError:
        said = answer.said.lower()
        if "already exists" in said:
            return self._server.refusal(answer, AlreadyProposed)
        if "no commits between" in said:
            return self._server.refusal(answer, NoDifference)
        if "invalid" in said and ("head" in said or "base" in said):
            return self._server.refusal(answer, BranchMissing, "Check that head and base are pushed.")
        return self._server.refusal(answer)

    async def _said(self, what: str, path: str, query: dict[str, str | int]) -> list[Comment]:
        found: list[_Said] = []
        for page in range(1, MAX_PAGES + 1):
            where, asked = f"{self._repository}/{path}", query | {"page": page}
            answer = await self._server.ask("GET", where, query=asked)
            more = [] if answer.unchanged else self._server.read(answer, _SAID)
            found += more
            if len(more) < PAGE:
                break
            self._server.forget(where, asked)
        return [_comment(what, each) for each in found if each.updated_at or each.submitted_at]

    def _is_ours(self, pull: _Pull) -> bool:
        whose = pull.head.repo
        return whose is None or whose.full_name.lower() == self._server.project.path.lower()


def _pull_request(pull: _Pull) -> PullRequest:
    state = MERGED if pull.merged_at else OPEN if pull.state == "open" else CLOSED
    return PullRequest(
        pull.number,
        pull.html_url,
        state,
        pull.head.ref,
        pull.base.ref,
        pull.head.sha,
        pull.title,
        bool(pull.draft),
        pull.user.login if pull.user else "",
    )


def _comment(what: str, said: _Said) -> Comment:
    at = said.updated_at or said.submitted_at
    assert at is not None  # those without were left out
    author = said.user.login if said.user else ""
    line = said.line or said.original_line
    is_member = said.author_association in _MEMBERS if said.author_association else None
    is_bot = author.endswith("[bot]") or (said.user is not None and said.user.type == "Bot")
    text = (said.body or "")[:MAX_COMMENT]
    return Comment(f"{what}-{said.id}", author, text, at, said.path, line, is_member, is_bot)
