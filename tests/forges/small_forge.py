"""The forge of `examples/jobs`, with GitHub's and GitLab's words beside Gitea's.

Those shapes are as the documentation of their REST APIs shows them; what nothing reads is left out.
"""

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

PLACE = Path(__file__).parents[2] / "examples" / "jobs" / "forge.py"

if TYPE_CHECKING:
    from examples.jobs import forge as small  # pyright: ignore
else:
    _spec = importlib.util.spec_from_file_location("small_forge_of_examples", PLACE)
    small = importlib.util.module_from_spec(_spec)
    sys.modules[_spec.name] = small
    _spec.loader.exec_module(small)

Forge, Pull, Refusal, Said, User = small.Forge, small.Pull, small.Refusal, small.Said, small.User
has_git_over_http = small.has_git_over_http


def _github_lists(forge: Forge, repository: str, _: Any, query: Mapping[str, str], *__: Any) -> Any:
    owner, _, wanted = query["head"].partition(":")
    assert owner == repository.partition("/")[0] and query["state"] == "all"
    return [github_shape(forge, each) for each in forge.of(repository) if each.head == wanted]


def _github_edits(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], __: Any) -> Any:
    pull = forge.pull(repository, int(groups[0]))
    pull.title, pull.body = body["title"], body["body"]
    return github_shape(forge, pull)


def _github_reads(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    said = forge.pull(repository, int(groups[1])).said
    return [github_said(each) for each in said if bool(each.path) == (groups[0] == "pulls")]


def _github_says(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], user: User) -> Any:
    return github_said(forge.say(repository, int(groups[0]), user.name, body["body"]))


def _keeps_status(forge: Forge, _: str, groups: Any, __: Any, body: dict[str, Any], ___: Any) -> Any:
    forge.statuses.append({"commit": groups[0], "context": body.get("name"), **body})
    return {}


def _github_creates(forge: Forge, repository: str, body: dict[str, Any]) -> Pull:
    try:
        return forge.create_pull(
            repository, body["head"], body["base"], body["title"], body["body"], body.get("draft", False)
        )
    except Refusal as refusal:
        owner = repository.partition("/")[0]
        said = {
            409: [{"resource": "PullRequest", "message": f"A pull request already exists for {owner}:{body['head']}."}],
            404: [{"resource": "PullRequest", "field": "head", "code": "invalid"}],
            422: [{"resource": "PullRequest", "message": f"No commits between {body['base']} and {body['head']}"}],
        }[refusal.status]
        raise Refusal(422, {"message": "Validation Failed", "errors": said}) from None  # type: ignore[arg-type]


def github_shape(forge: Forge, pull: Pull) -> dict[str, Any]:
    return {
        "number": pull.number,
        "html_url": f"{forge.url}/{pull.repository}/pull/{pull.number}",
        "state": "open" if pull.state == "open" else "closed",
        "merged_at": "2026-01-01T00:00:00Z" if pull.merged else None,
        "draft": pull.draft,
        "title": pull.title,
        "head": {"ref": pull.head, "sha": pull.sha, "repo": {"full_name": pull.repository}},
        "base": {"ref": pull.base, "sha": "", "repo": {"full_name": pull.repository}},
    }


def github_said(said: Said) -> dict[str, Any]:
    found: dict[str, Any] = {"id": said.id, "body": said.text, "user": {"login": said.author}, "updated_at": said.at}
    return found | ({"path": said.path, "line": said.line} if said.path else {})


github = small.dialect(
    r"/repos/([\w.-]+/[\w.-]+)(/.*)",
    {
        "GET /pulls": _github_lists,
        "POST /pulls": lambda forge, repository, _, __, body, *___: github_shape(
            forge, _github_creates(forge, repository, body)
        ),
        r"GET /pulls/(\d+)": lambda forge, repository, groups, *_: github_shape(
            forge, forge.pull(repository, int(groups[0]))
        ),
        r"PATCH /pulls/(\d+)": _github_edits,
        r"GET /(issues|pulls)/(\d+)/comments": _github_reads,
        r"POST /issues/(\d+)/comments": _github_says,
        r"GET /pulls/(\d+)/reviews": lambda *_: [
            {"id": 1, "body": "", "user": {"login": "ada"}, "submitted_at": "2026-01-01T00:00:00Z"}
        ],
        r"POST /statuses/(\w+)": _keeps_status,
    },
)


def _gitlab_lists(forge: Forge, repository: str, _: Any, query: Mapping[str, str], *__: Any) -> Any:
    assert query["state"] == "all"
    return [gitlab_shape(forge, each) for each in forge.of(repository) if each.head == query["source_branch"]]


def _gitlab_edits(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], __: Any) -> Any:
    pull = forge.pull(repository, int(groups[0]))
    pull.title, pull.body = body["title"], body["description"]
    return gitlab_shape(forge, pull)


def _gitlab_reads(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    notes = [gitlab_note(each) for each in reversed(forge.pull(repository, int(groups[0])).said)]
    return [*notes, gitlab_note(Said(0, "root", "changed the title", "2026-01-01T00:00:00Z")) | {"system": True}]


def _gitlab_says(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], user: User) -> Any:
    return gitlab_note(forge.say(repository, int(groups[0]), user.name, body["body"]))


def _gitlab_branch(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    if forge.branch(repository, unquote(groups[0])) is None:
        raise Refusal(404, "404 Branch Not Found")
    return {"name": unquote(groups[0])}


def _gitlab_creates(forge: Forge, repository: str, body: dict[str, Any]) -> Pull:
    head, base, title = body["source_branch"], body["target_branch"], body["title"]
    try:
        return forge.create_pull(repository, head, base, title, body["description"], title.startswith("Draft:"))
    except Refusal as refusal:
        if refusal.status == 409:
            said = (
                f"Another open merge request already exists for this source branch: !{forge.of(repository)[-1].number}"
            )
            raise Refusal(409, [said]) from None  # type: ignore[arg-type]
        raise Refusal(422, {"base": ["is not as it should be"]}) from None  # type: ignore[arg-type]


def gitlab_shape(forge: Forge, pull: Pull) -> dict[str, Any]:
    return {
        "iid": pull.number,
        "web_url": f"{forge.url}/{pull.repository}/-/merge_requests/{pull.number}",
        "state": {"open": "opened"}.get(pull.state, pull.state),
        "draft": pull.draft,
        "title": pull.title,
        "source_branch": pull.head,
        "target_branch": pull.base,
        "sha": pull.sha,
        "source_project_id": 7,
        "target_project_id": 7,
    }


def gitlab_note(said: Said) -> dict[str, Any]:
    place = {"new_path": said.path, "new_line": said.line} if said.path else None
    found = {"id": said.id, "body": said.text, "author": {"username": said.author}, "system": False}
    return found | {"updated_at": said.at, "position": place}


gitlab = small.dialect(
    r"/projects/([^/]+)(/.*)",
    {
        "GET /merge_requests": _gitlab_lists,
        "POST /merge_requests": lambda forge, repository, _, __, body, *___: gitlab_shape(
            forge, _gitlab_creates(forge, repository, body)
        ),
        r"GET /merge_requests/(\d+)": lambda forge, repository, groups, *_: gitlab_shape(
            forge, forge.pull(repository, int(groups[0]))
        ),
        r"PUT /merge_requests/(\d+)": _gitlab_edits,
        r"GET /merge_requests/(\d+)/notes": _gitlab_reads,
        r"POST /merge_requests/(\d+)/notes": _gitlab_says,
        r"GET /repository/branches/([^/]+)": _gitlab_branch,
        r"POST /statuses/(\w+)": _keeps_status,
    },
)
FACES = {"/api/v1": small.gitea, "/api/v3": github, "/api/v4": gitlab}
DIALECTS = ("gitea", "github", "gitlab")
