"""A real forge, thrown away afterwards: Gitea on loopback, and an administrator who makes what else there is."""

import getpass
import os
import re
import socket
import subprocess
import time
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx2
from examples.jobs.forge import Pull, Refusal

ADMINISTRATOR = "administrator"
PASSWORD = "a-password-of-the-demo"
START_SECONDS = 60.0
PORTS = 3
"""So many are tried: somebody else may take one that was free."""
_SETTINGS = """
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {folder}
I_AM_BEING_UNSAFE_RUNNING_AS_ROOT = true
[server]
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
DISABLE_SSH = true
STATIC_ROOT_PATH = {static}
OFFLINE_MODE = true
[database]
DB_TYPE = sqlite3
PATH = {folder}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = of-the-demo
PASSWORD_HASH_ALGO = pbkdf2
[service]
DISABLE_REGISTRATION = true
[log]
MODE = file
ROOT_PATH = {folder}/log
[repository]
DEFAULT_BRANCH = main
[actions]
ENABLED = false
[cron]
ENABLED = false
[indexer]
ISSUE_INDEXER_TYPE = db
"""


class Gitea:
    """A forge of one's own.

    Args:
        program: of Gitea, beside the folders that it reads.
        folder: for all that it keeps.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder = program, folder
        self._settings = folder / "app.ini"
        self._running: subprocess.Popen[bytes] | None = None
        self.url = ""

    def __enter__(self) -> "Gitea":
        self._folder.mkdir(parents=True)
        self._configure(_free_port())
        self._run("migrate")
        words = ["--username", ADMINISTRATOR, "--password", PASSWORD, "--email", "administrator@example.com"]
        self._run("admin", "user", "create", "--admin", "--must-change-password=false", *words)
        for _ in range(PORTS):
            if self._serve():
                return self
            self._configure(_free_port())
        raise SystemExit(f"Gitea found no free port; {self._said()}")

    def __exit__(self, *_: object) -> None:
        self._end()

    def clone_url(self, repository: str) -> str:
        """Of a repository, `owner/name`."""
        return f"{self.url}/{repository}.git"

    def ask(self, method: str, path: str, body: Any = None, user: str = ADMINISTRATOR, **more: Any) -> Any:
        """One request to its API, as somebody who has a password.

        Raises:
            Refusal: it was refused.
        """
        who = b64encode(f"{user}:{PASSWORD}".encode()).decode()
        answer = httpx2.request(
            method,
            f"{self.url}/api/v1{path}",
            json=body,
            headers={"authorization": f"Basic {who}"},
            timeout=30,
            trust_env=False,
            **more,
        )
        if not answer.is_success:
            raise Refusal(answer.status_code, f"{method} {path}: {answer.text[:500]}")
        return answer.json() if answer.content else None

    def add_user(self, name: str) -> None:
        """One who has nothing yet."""
        body = {"username": name, "email": f"{name}@example.com", "password": PASSWORD, "must_change_password": False}
        self.ask("POST", "/admin/users", body)

    def add_token(self, user: str, scopes: Sequence[str]) -> str:
        """A new token of a user, that may no more than this."""
        body = {"name": f"{'-'.join(scopes)}-{time.monotonic_ns()}".replace(":", "-"), "scopes": list(scopes)}
        return self.ask("POST", f"/users/{user}/tokens", body, user)["sha1"]

    def make_repository(self, name: str, files: Mapping[str, str], *, private: bool = True) -> None:
        """One with a commit on its branch `main`; `owner/name`, where the owner is a user."""
        owner, _, own = name.partition("/")
        self.ask("POST", f"/admin/users/{owner}/repos", {"name": own, "private": private, "default_branch": "main"})
        self.commit(name, "main", files, "The beginning")

    def commit(self, repository: str, branch: str, files: Mapping[str, str], message: str, **more: Any) -> str:
        """A commit with new files; its id."""
        made = [
            {"operation": "create", "path": path, "content": b64encode(text.encode()).decode()}
            for path, text in files.items()
        ]
        body = {"branch": branch, "files": made, "message": message, **more}
        return self.ask("POST", f"/repos/{repository}/contents", body)["commit"]["sha"]

    def of(self, repository: str) -> list[Pull]:
        """The pull requests of a repository, the newest last."""
        found = self.ask("GET", f"/repos/{repository}/pulls", params={"state": "all", "limit": 50})
        return [_pull(repository, each) for each in reversed(found)]

    def _configure(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        values = {"user": getpass.getuser(), "folder": self._folder, "port": port, "static": self._program.parent}
        self._settings.write_text(_SETTINGS.format(**values))

    def _run(self, *words: str) -> None:
        command = [self._program, *words, "--config", self._settings]
        done = subprocess.run(command, env=self._environment(), capture_output=True, text=True, timeout=START_SECONDS)
        if done.returncode:
            raise SystemExit(f"gitea {words[0]}: {(done.stderr or done.stdout)[-2000:]}")

    def _serve(self) -> bool:
        """Begin it; False: somebody else has the port, on which it goes on without serving anything."""
        log = self._folder / "web.log"
        with log.open("wb") as told:
            command = [self._program, "web", "--config", self._settings]
            self._running = subprocess.Popen(command, env=self._environment(), stdout=told, stderr=told)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end and self._running.poll() is None:
            if re.search("address already in use", self._said()):
                break
            if self._is_healthy():
                return True
            time.sleep(0.05)
        else:
            raise SystemExit(f"Gitea does not start; {self._said()[-2000:]}")
        self._end()
        return False

    def _is_healthy(self) -> bool:
        """By the word of an account that it alone has: somebody else may answer at the port."""
        try:
            return self.ask("GET", "/user")["login"] == ADMINISTRATOR
        except (httpx2.HTTPError, Refusal, ValueError, KeyError):
            return False

    def _said(self) -> str:
        places = (self._folder / "web.log", self._folder / "log" / "gitea.log")
        return "\n".join(place.read_text(errors="replace") for place in places if place.exists())

    def _end(self) -> None:
        if self._running is None:
            return
        self._running.terminate()
        try:
            self._running.wait(20)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None
        for log in (self._folder / "log").glob("*.log"):
            log.unlink()

    def _environment(self) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"], "HOME": str(self._folder), "GITEA_WORK_DIR": str(self._folder)}


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _pull(repository: str, told: Mapping[str, Any]) -> Pull:
    state = "merged" if told["merged"] else told["state"]
    head = told["head"]
    return Pull(
        repository,
        told["number"],
        head["label"],
        told["base"]["ref"],
        told["title"],
        told["body"],
        told["draft"],
        head["sha"],
        state,
        told["user"]["login"],
    )
