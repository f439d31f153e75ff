"""Five coding jobs, two remote agents, one of which is killed in the middle: a whole stack, thrown away afterwards.

Real parts everywhere: the stack of `pavo up`, git over HTTP, a forge, agents as processes that know nothing but a URL
and a token. The forge is Gitea where `make native` has built it, else (and with `--forge small`) a small one of the
example's own. `make demo-jobs` runs it; nothing is left behind.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Protocol

from examples.jobs.forge import Forge, Pull, User
from examples.jobs.gitea import Gitea
from examples.support import Api, until
from rich.console import Console
from rich.text import Text
from tools.build_gitea import program

from pavo.cli.output import waiting
from pavo.cli.task import render

PAGES = ("pricing", "contact", "imprint", "team", "jobs")
REPOSITORY = "acme/site"
FILES = {"README.md": "# A site\n", "pages/home.md": "# Home\n"}
CODER = Path(__file__).with_name("coder.py")
OVER = ("DONE", "FAILED", "CANCELLED")


class AForge(Protocol):
    """What the demo asks of either forge."""

    @property
    def url(self) -> str: ...

    def clone_url(self, repository: str) -> str: ...

    def of(self, repository: str) -> list[Pull]: ...


def pavo(*arguments: str) -> str:
    """What the command says."""
    ran = subprocess.run([sys.executable, "-m", "pavo.cli.main", *arguments], capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"pavo {' '.join(arguments)}: {ran.stderr or ran.stdout}")
    return ran.stdout


class Agents:
    """Remote agents, each a process with a folder of its own."""

    def __init__(self, folder: Path, url: str, ca: str, token: str) -> None:
        self._folder, self._url, self._ca, self._token = folder, url, ca, token
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> int:
        """Begin one; its pid."""
        place = self._folder / name
        place.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pavo.cli.main", "agent", "run"]
        options = ["--url", self._url, "--name", name, "--state", str(place), "--ca", self._ca]
        environment = {**os.environ, "PAVO_AGENT_TOKEN": self._token}
        with (self._folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen([*command, *options], env=environment, stdout=log, stderr=log)
        return self._running[name].pid

    def kill(self, name: str) -> int:
        """End one as a power cut would."""
        process = self._running.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return process.pid

    def close(self) -> None:
        """End them all."""
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def main() -> int:
    """Exit code 0 when every job is done once, and has its pull request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--forge", choices=("gitea", "small"), default="gitea" if program() else "small")
    kind = parser.parse_args().forge
    out = render.page(stderr=False)
    out.print(Text.assemble("\n", ("Pavo", "bold cyan"), "  five coding jobs, and an agent that is killed in one\n"))
    folder = Path(tempfile.mkdtemp(prefix="pavo-demo-jobs-"))
    try:
        with ExitStack() as ending:
            ok = _run(kind, folder, out, ending)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if ok:
        render.good(out, "Agents, forge and stack ended; no process and no file is left")
    return 0 if ok else 1


def _forge(kind: str, folder: Path, ending: ExitStack) -> tuple[AForge, str]:
    """A forge with the repository, and a token that may push to it and open pull requests."""
    if kind == "small":
        small = ending.enter_context(Forge(folder))
        token = "forge-token-of-the-demo"
        small.tokens[token] = User("pavo")
        small.make_repository(REPOSITORY, FILES)
        return small, token
    installed = program()
    if installed is None:
        raise SystemExit("Gitea is not built: python -m tools.build_gitea (needs Go and a C compiler).")
    gitea = ending.enter_context(Gitea(installed, folder))
    for name in (REPOSITORY.partition("/")[0], "pavo"):
        gitea.add_user(name)
    gitea.make_repository(REPOSITORY, FILES)
    gitea.ask("PUT", f"/repos/{REPOSITORY}/collaborators/pavo", {"permission": "write"})
    return gitea, gitea.add_token("pavo", ("write:repository", "write:issue"))


def _run(kind: str, folder: Path, out: Console, ending: ExitStack) -> bool:
    began = time.monotonic()
    forge, secret = _forge(kind, folder / "forge", ending)
    with waiting(out, "starting PostgreSQL, Valkey, Temporal, the API, a gateway and a worker …"):
        ending.callback(pavo, "down", "--data-dir", str(folder / "stack"))
        os.environ["PAVO_FORGE_NETWORKS"] = "127.0.0.0/8"  # where this forge is; workers look at its pull requests
        pavo("up", "--detach", "--port", "0", "--data-dir", str(folder / "stack"))
        urls = json.loads(pavo("status", "-o", "json", "--data-dir", str(folder / "stack")))["urls"]
    render.good(out, f"Stack and forge ({kind}) ready in {time.monotonic() - began:.1f} s", forge.url)
    api = Api(urls["api"])
    api.put(f"/api/organisations/{api.org}/secrets/forge-token", {"value": secret})
    api.post(f"/api/orgs/{api.org}/repositories", _repository(forge))
    token = api.post(f"/api/orgs/{api.org}/agent-tokens", {"name": "demo"})["secret"]
    agents = Agents(folder / "agents", urls["gateway"], urls["gateway_ca"], token)
    ending.callback(agents.close)
    api.patch(f"/api/orgs/{api.org}/queue", {"at_once": 2})
    pids = [agents.start(name) for name in ("anna", "bert")]
    render.good(out, "Two agents started", f"pids {pids[0]}, {pids[1]}")
    jobs = [_submit(api, page) for page in PAGES]
    render.good(out, f"{len(jobs)} jobs queued, two at once")
    _kill_one(api, agents, jobs, out)
    return _tell(api, forge, jobs, out, began)


def _repository(forge: AForge) -> Mapping[str, Any]:
    check = {"name": "pages", "command": 'for each in pages/*.md; do grep -q "^# " "$each" || exit 1; done'}
    return {
        "name": REPOSITORY,
        "clone_url": forge.clone_url(REPOSITORY),
        "forge": "gitea",
        "forge_url": f"{forge.url}/api/v1",
        "credential": "forge-token",
        "verify": [check],
    }


def _submit(api: Api, page: str) -> str:
    options = {"command": f"{sys.executable} {CODER} 2"}
    prompt = f"Add a page {page} to the site."
    new = {"repository": REPOSITORY, "prompt": prompt, "program": "command", "options": options}
    return api.post(f"/api/orgs/{api.org}/jobs", new)["id"]


def _kill_one(api: Api, agents: Agents, jobs: list[str], out: Console) -> None:
    """In the middle of its second job; and begin it anew, as a service manager does."""

    def executing() -> Mapping[str, Any] | None:
        found = [api.get(f"/api/jobs/{each}") for each in jobs]
        if not any(each["stage"] == "DONE" for each in found):
            return None
        return next((each for each in found if each["stage"] == "EXECUTING"), None)

    job = until("job that executes", executing)
    name = job["agent"]
    pid = agents.kill(name)
    render.bad(out, f"Agent {name} killed with SIGKILL while it works at “{job['title']}”", f"pid {pid}")
    render.turn(out, f"Agent {name} begins anew and goes on", f"pid {agents.start(name)}")


def _tell(api: Api, forge: AForge, jobs: list[str], out: Console, began: float) -> bool:
    def over() -> list[Mapping[str, Any]] | None:
        found = [api.get(f"/api/jobs/{each}") for each in jobs]
        return found if all(each["stage"] in OVER for each in found) else None

    with waiting(out, "the jobs go on …"):
        found = until("end of all jobs", over)
    ok = True
    for job in found:
        pulls = [each for each in forge.of(REPOSITORY) if each.head == job["branch"]]
        done = job["stage"] == "DONE" and len(pulls) == 1
        ok = ok and done
        words = f"“{job['title']}”: {job['stage']} by {job['agent']}"
        (render.good if done else render.bad)(out, words, job["pull_request"]["url"] if job.get("pull_request") else "")
    out.print()
    (render.good if ok else render.bad)(
        out, f"{len(forge.of(REPOSITORY))} pull requests for {len(jobs)} jobs, {time.monotonic() - began:.0f} s in all"
    )
    return ok


if __name__ == "__main__":
    sys.exit(main())
