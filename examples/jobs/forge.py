"""A small forge of one's own: git over HTTP behind a token check, and pull requests in Gitea's dialect.

It behaves as Gitea was seen to: a duplicate is 409, a missing branch 404, a branch onto itself 422, a token that only
reads 403, one that is revoked 401; and a branch whose pull request was merged may have a second one. It needs git and
Python's standard library, listens on loopback, and keeps pull requests in memory.
"""

import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

GIT_PATH = re.compile(r"/([\w.-]+/[\w.-]+)\.git(/.*)")
WHO = {
    "GIT_AUTHOR_NAME": "forge",
    "GIT_AUTHOR_EMAIL": "forge@localhost",
    "GIT_COMMITTER_NAME": "forge",
    "GIT_COMMITTER_EMAIL": "forge@localhost",
}


class Refusal(Exception):
    """What the forge does not do, with its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class User:
    """Whose a token is."""

    name: str
    write: bool = True


@dataclass
class Said:
    """A comment; to a line where it has a path."""

    id: int
    author: str
    text: str
    at: str
    path: str = ""
    line: int | None = None


@dataclass
class Pull:
    """A pull request."""

    repository: str
    number: int
    head: str
    base: str
    title: str
    body: str
    draft: bool
    sha: str
    state: str = "open"
    author: str = ""
    said: list[Said] = field(default_factory=list)

    @property
    def merged(self) -> bool:
        """Whether it was."""
        return self.state == "merged"


@dataclass
class Request:
    """One that the forge's API or git had."""

    method: str
    path: str
    status: int
    user: str


Answer = tuple[int, Mapping[str, str], bytes]
Face = Callable[["Forge", str, str, Mapping[str, str], dict[str, Any], User], Any]
"""Answers a request of a dialect, whose path is below the prefix: (forge, method, path, query, body, user)."""


class Forge:
    """Repositories, tokens and pull requests, served over HTTP on loopback.

    Args:
        folder: where the bare repositories are.
        faces: dialects by the prefix of their paths.
    """

    def __init__(self, folder: Path, faces: Mapping[str, Face] | None = None, port: int = 0) -> None:
        self.folder = folder
        self.faces = dict(faces or {"/api/v1": gitea})
        self.tokens: dict[str, User] = {}
        self.pulls: list[Pull] = []
        self.statuses: list[dict[str, Any]] = []
        self.requests: list[Request] = []
        self.interfere: Callable[[str, str], Answer | None] = lambda method, path: None
        """Answers a request instead of the forge, where it returns something."""
        self.lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"forge": self}))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> "Forge":
        self.folder.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def clone_url(self, repository: str) -> str:
        """Of a repository, `owner/name`."""
        return f"{self.url}/{repository}.git"

    def place(self, repository: str) -> Path:
        """Its bare repository."""
        return self.folder / f"{repository}.git"

    def git(self, repository: str, *arguments: str, given: str | None = None) -> str:
        """What git says in a repository."""
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "GIT_CONFIG_NOSYSTEM": "1", **WHO}
        done = subprocess.run(
            ["git", "-C", str(self.place(repository)), *arguments],
            env=environment,
            input=given,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def make_repository(self, repository: str, files: Mapping[str, str]) -> None:
        """A repository with one commit on its branch `main`."""
        place = self.place(repository)
        place.mkdir(parents=True)
        self.git(repository, "init", "--quiet", "--bare", "--initial-branch=main", ".")
        self.git(repository, "update-ref", "refs/heads/main", self.commit(repository, files, "Begin", parents=()))

    def commit(self, repository: str, files: Mapping[str, str], message: str, parents: Iterable[str]) -> str:
        """A commit with these files beside those of its first parent; no branch names it yet."""
        index = self.place(repository) / f"index-{threading.get_ident()}"
        environment = {"PATH": os.environ["PATH"], "GIT_INDEX_FILE": str(index), "GIT_CONFIG_NOSYSTEM": "1", **WHO}

        def run(*arguments: str, given: str | None = None) -> str:
            command = ["git", "-C", str(self.place(repository)), *arguments]
            done = subprocess.run(command, env=environment, input=given, capture_output=True, text=True, check=True)
            return done.stdout.strip()

        known = list(parents)
        if known:
            run("read-tree", known[0])
        for path, content in files.items():
            blob = run("hash-object", "-w", "--stdin", given=content)
            run("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
        tree = run("write-tree")
        index.unlink(missing_ok=True)
        return run("commit-tree", tree, "-m", message, *(part for each in known for part in ("-p", each)))

    def branch(self, repository: str, name: str) -> str | None:
        """Its commit; None: there is no such branch."""
        found = self.git(repository, "for-each-ref", "--format=%(objectname)", f"refs/heads/{name}")
        return found.splitlines()[0] if found else None

    def file(self, repository: str, branch: str, path: str) -> str:
        """What is in a file of a branch."""
        return self.git(repository, "show", f"refs/heads/{branch}:{path}")

    # What the dialects do, each in its own words.

    def create_pull(
        self, repository: str, head: str, base: str, title: str, body: str, draft: bool, *, empty: bool = False
    ) -> Pull:
        """Open one; with `empty` also for another branch that has nothing of its own."""
        with self.lock:
            tip, onto = self.branch(repository, head), self.branch(repository, base)
            if tip is None or onto is None:
                raise Refusal(404, f"branch does not exist: {head if tip is None else base}")
            if any(each.state == "open" and (each.head, each.base) == (head, base) for each in self.of(repository)):
                raise Refusal(409, "pull request already exists for these targets")
            none = self.git(repository, "rev-list", "--count", f"{onto}..{tip}") == "0"
            if head == base or (none and not empty):
                raise Refusal(422, "There are no changes between the head and the base")
            made = Pull(repository, len(self.of(repository)) + 1, head, base, title, body, draft, tip)
            self.pulls.append(made)
            return made

    def of(self, repository: str) -> list[Pull]:
        """The pull requests of a repository, the newest last, with their heads as they are now."""
        found = [each for each in self.pulls if each.repository == repository]
        for each in found:
            if each.state == "open":
                each.sha = self.branch(repository, each.head) or each.sha
        return found

    def pull(self, repository: str, number: int) -> Pull:
        """One of them."""
        found = next((each for each in self.of(repository) if each.number == number), None)
        if found is None:
            raise Refusal(404, "pull request does not exist")
        return found

    def merge(self, repository: str, number: int) -> None:
        """Merge one, with a commit of its own."""
        with self.lock:
            pull = self.pull(repository, number)
            onto = self.branch(repository, pull.base) or ""
            tree = self.git(repository, "merge-tree", "--write-tree", onto, pull.sha)
            made = self.git(repository, "commit-tree", tree, "-p", onto, "-p", pull.sha, "-m", f"Merge #{number}")
            self.git(repository, "update-ref", f"refs/heads/{pull.base}", made, onto)
            pull.state = "merged"

    def say(
        self, repository: str, number: int, author: str, text: str, path: str = "", line: int | None = None
    ) -> Said:
        """Comment on one."""
        with self.lock:
            pull = self.pull(repository, number)
            identity = sum(len(each.said) for each in self.pulls) + 1
            said = Said(identity, author, text, datetime.now(UTC).isoformat(), path, line)
            pull.said.append(said)
            return said


class _Handler(BaseHTTPRequestHandler):
    forge: Forge
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """The forge keeps its requests itself."""

    def do(self) -> None:
        body = self._body()
        path = urlsplit(self.path).path
        user = self._user()
        answer = self.forge.interfere(self.command, self.path)
        if answer is None:
            git = GIT_PATH.fullmatch(path)
            answer = self._git(git[1], git[2], body, user) if git else self._api(path, body, user)
        status, headers, content = answer
        self.forge.requests.append(Request(self.command, self.path, status, user.name if user else ""))
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        with contextlib.suppress(ConnectionError):  # who asked has gone
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = do  # noqa: N815

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts: list[bytes] = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _user(self) -> User | None:
        kind, _, value = self.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            value = base64.b64decode(value).decode().partition(":")[2]
        return self.forge.tokens.get(value or self.headers.get("PRIVATE-TOKEN", ""))

    def _api(self, path: str, body: bytes, user: User | None) -> Answer:
        try:
            prefix = next((each for each in self.forge.faces if path.startswith(f"{each}/")), None)
            if prefix is None:
                raise Refusal(404, "not found")
            if user is None:
                raise Refusal(401, "invalid username, password or token")
            if self.command != "GET" and not user.write:
                raise Refusal(403, "token does not have the required scope")
            query = {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}
            value = json.loads(body) if body else {}
            found = self.forge.faces[prefix](self.forge, self.command, path.removeprefix(prefix), query, value, user)
            status, content = 201 if self.command == "POST" else 200, json.dumps(found).encode()
            tag = f'"{hashlib.sha256(content).hexdigest()}"'
            if self.command == "GET" and self.headers.get("If-None-Match") == tag:
                return 304, {"ETag": tag}, b""
            return status, {"Content-Type": "application/json", "ETag": tag}, content
        except Refusal as refusal:
            content = json.dumps({"message": refusal.message}).encode()
            return refusal.status, {"Content-Type": "application/json"}, content

    def _git(self, repository: str, rest: str, body: bytes, user: User | None) -> Answer:
        if user is None:
            return 401, {"WWW-Authenticate": 'Basic realm="forge"'}, b"who are you?"
        writes = "git-receive-pack" in self.path
        if (writes and not user.write) or not self.forge.place(repository).is_dir():
            return (403 if writes else 404), {}, b"not for you"
        return self._backend(repository, rest, body, user)

    def _backend(self, repository: str, rest: str, body: bytes, user: User) -> Answer:
        environment = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": str(self.forge.folder),
            "GIT_HTTP_EXPORT_ALL": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HOME": str(self.forge.folder),
            "PATH_INFO": f"/{repository}.git{rest}",
            "QUERY_STRING": urlsplit(self.path).query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "REMOTE_USER": user.name,
            "REMOTE_ADDR": "127.0.0.1",
        }
        done = subprocess.run(["git", "http-backend"], env=environment, input=body, stdout=subprocess.PIPE, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
        return int(headers.pop("Status", "200 OK").split()[0]), headers, content


Route = Callable[["Forge", str, Any, Mapping[str, str], dict[str, Any], User], Any]
"""Answers one request: (forge, repository, groups of the pattern, query, body, user)."""


def dialect(place: str, routes: Mapping[str, Route]) -> Face:
    """A face by its routes.

    Args:
        place: pattern of the paths, whose groups are the repository and the rest.
        routes: by method and pattern of the rest.
    """

    def face(forge: "Forge", method: str, path: str, query: Mapping[str, str], body: dict[str, Any], user: User) -> Any:
        matched = re.fullmatch(place, path)
        repository = unquote(matched[1]) if matched else ""
        if matched is None or not forge.place(repository).is_dir():
            raise Refusal(404, "repository does not exist")
        for pattern, answer in routes.items():
            asked, _, form = pattern.partition(" ")
            if asked == method and (found := re.fullmatch(form, matched[2] or "")):
                return answer(forge, repository, found.groups(), query, body, user)
        raise Refusal(404, "not found")

    return face


def _listed(forge: Forge, repository: str, _: Any, query: Mapping[str, str], *__: Any) -> Any:
    wanted = query.get("state", "open")
    found = [
        each
        for each in reversed(forge.of(repository))
        if wanted == "all" or (each.state == "open") == (wanted == "open")
    ]
    limit, page = int(query.get("limit", 30)), int(query.get("page", 1))
    return [gitea_shape(forge, each) for each in found[(page - 1) * limit : page * limit]]


def _created(forge: Forge, repository: str, _: Any, __: Any, body: dict[str, Any], user: User) -> Any:
    title = body["title"]
    draft = title.startswith("WIP:")
    made = forge.create_pull(repository, body["head"], body["base"], title, body.get("body", ""), draft, empty=True)
    made.author = user.name
    return gitea_shape(forge, made)


def _edited(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], __: Any) -> Any:
    pull = forge.pull(repository, int(groups[0]))
    pull.title, pull.body = body.get("title", pull.title), body.get("body", pull.body)
    if body.get("state") in ("open", "closed"):
        pull.state = body["state"]
    return gitea_shape(forge, pull)


def _commented(forge: Forge, repository: str, groups: Any, _: Any, body: dict[str, Any], user: User) -> Any:
    return gitea_said(forge.say(repository, int(groups[0]), user.name, body["body"]))


def _merged(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    forge.merge(repository, int(groups[0]))
    return {}


def _comments(forge: Forge, repository: str, groups: Any, query: Mapping[str, str], *_: Any) -> Any:
    said = forge.pull(repository, int(groups[0])).said
    since = query.get("since")
    return [
        gitea_said(each)
        for each in said
        if not each.path and (since is None or datetime.fromisoformat(each.at) >= datetime.fromisoformat(since))
    ]


def _reviews(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    said = [each for each in forge.pull(repository, int(groups[0])).said if each.path]
    return [
        {"id": each.id, "body": "", "user": {"login": each.author}, "comments_count": 1, "submitted_at": each.at}
        for each in said
    ]


def _lines(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    said = forge.pull(repository, int(groups[0])).said
    return [gitea_said(each) for each in said if each.id == int(groups[1])]


def _branch(forge: Forge, repository: str, groups: Any, *_: Any) -> Any:
    name = unquote(groups[0])
    if (commit := forge.branch(repository, name)) is None:
        raise Refusal(404, "branch does not exist")
    return {"name": name, "commit": {"id": commit}}


def _status(forge: Forge, _: str, groups: Any, __: Any, body: dict[str, Any], ___: Any) -> Any:
    made = {"commit": groups[0], **body}
    forge.statuses.append(made)
    return made


def gitea_shape(forge: Forge, pull: Pull) -> dict[str, Any]:
    """A pull request in Gitea's words."""
    return {
        "number": pull.number,
        "html_url": f"{forge.url}/{pull.repository}/pulls/{pull.number}",
        "state": "open" if pull.state == "open" else "closed",
        "merged": pull.merged,
        "draft": pull.draft,
        "title": pull.title,
        "body": pull.body,
        "user": {"login": pull.author},
        "head": {"label": pull.head, "ref": pull.head, "sha": pull.sha, "repo": {"full_name": pull.repository}},
        "base": {"label": pull.base, "ref": pull.base, "sha": "", "repo": {"full_name": pull.repository}},
    }


def gitea_said(said: Said) -> dict[str, Any]:
    """A comment in Gitea's words."""
    return {
        "id": said.id,
        "body": said.text,
        "user": {"login": said.author},
        "created_at": said.at,
        "updated_at": said.at,
        "path": said.path,
        "position": said.line or 0,
        "original_position": 0,
    }


_GITEA: dict[str, Route] = {
    "GET ": lambda forge, repository, *_: {"full_name": repository},
    "GET /branches/(.+)": _branch,
    "GET /pulls": _listed,
    "POST /pulls": _created,
    r"GET /pulls/(\d+)": lambda forge, repository, groups, *_: gitea_shape(
        forge, forge.pull(repository, int(groups[0]))
    ),
    r"PATCH /pulls/(\d+)": _edited,
    r"POST /pulls/(\d+)/merge": _merged,
    r"GET /issues/(\d+)/comments": _comments,
    r"POST /issues/(\d+)/comments": _commented,
    r"GET /pulls/(\d+)/reviews": _reviews,
    r"GET /pulls/(\d+)/reviews/(\d+)/comments": _lines,
    r"POST /statuses/(\w+)": _status,
}
gitea: Face = dialect(r"/repos/([\w.-]+/[\w.-]+)(/.*)?", _GITEA)
"""The part of Gitea's API that pull requests need."""


def has_git_over_http() -> bool:
    """Whether this machine's git serves repositories over HTTP."""
    if shutil.which("git") is None:
        return False
    where = subprocess.run(["git", "--exec-path"], capture_output=True, text=True, check=True).stdout.strip()
    return (Path(where) / "git-http-backend").exists()
