"""Docker Compose, called as a program; whatever it says on failure reaches people with a remedy."""

import json
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from pavo.deploy.model.parts import PARTS, kind_of
from pavo.deploy.orchestrated.outside_programs import Done, Show, ask, last_line, last_lines, pass_on
from pavo.errors import ConfigurationError, NotFound, PavoError

ASK_SECONDS = 20
START_SECONDS = 900
"""The first start pulls and builds images."""
STOP_SECONDS = 120
_FILLED_IN = re.compile(r"(?<!\$)(?:\$\$)*\$\{?([A-Za-z_]\w*)")
INSTALL = "Install Docker Engine with its Compose plugin: https://docs.docker.com/engine/install/"


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What Docker says of one container."""

    name: str
    """As the model names it: `worker-2`; one-shots by their service's name."""
    state: str
    """running, exited, restarting, …"""
    health: str
    """healthy, unhealthy, starting; empty where there is no health check."""
    exit_code: int
    container: str

    @property
    def ready(self) -> bool:
        """Whether a part is healthy, or a one-shot done."""
        once = self.name.rpartition("-")[0] not in PARTS and self.name not in PARTS
        return self.state == "exited" and self.exit_code == 0 if once else self.health == "healthy"


class DockerFailed(PavoError):
    """Docker Compose ended with an error. Remedy: in its own words, which are passed on."""

    title = "Docker Compose failed"


_ask = partial(ask, failed=DockerFailed, remedy="Look at the engine's own log.", seconds=ASK_SECONDS)


def compose_command() -> list[str] | None:
    """`docker compose`, or a standalone `docker-compose` of version 2 or later; None where there is neither."""
    for words in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(words[0]) and _said([*words, "version", "--short"]).lstrip("v")[:2] not in ("", "1."):
            return words
    return None


def check_docker() -> str | None:
    """Why containers cannot be started here; None when they can."""
    if not shutil.which("docker") and not shutil.which("docker-compose"):
        return "There is no docker on the PATH."
    if compose_command() is None:
        return "Docker is there, but not its Compose plugin (version 2 or later)."
    if shutil.which("docker"):
        asked = _ask(["docker", "version", "--format", "{{.Server.Version}}"])
        if asked.returncode:
            return f"No Docker engine answers: {last_line(asked.stderr)}"
    return None


def require_docker() -> list[str]:
    """The Compose command.

    Raises:
        ConfigurationError: Docker, its Compose plugin or its engine is missing.
    """
    reason = check_docker()
    command = compose_command()
    if reason is None and command is not None:
        return command
    remedy = "Start it (systemctl start docker), or write the files only: --dry-run." if command else INSTALL
    raise ConfigurationError(reason or "Docker Compose is missing.", field="--target", remedy=remedy)


def up(folder: Path) -> None:
    """Build, start and wait until every part is healthy; doing it again starts what is missing or changed.

    Raises:
        ConfigurationError: Docker is missing.
        DockerFailed: a part did not become healthy, an image cannot be had, …
    """
    _run(folder, "up", "--detach", "--build", "--wait", "--remove-orphans", seconds=START_SECONDS)


def down(folder: Path, *, volumes: bool = False) -> None:
    """End and remove the containers; `volumes` removes all data too."""
    _run(folder, "down", "--remove-orphans", *(["--volumes"] if volumes else []), seconds=STOP_SECONDS)


def stop(folder: Path) -> None:
    """End the containers and keep them."""
    _run(folder, "stop", seconds=STOP_SECONDS)


def restart(folder: Path, part: str) -> None:
    """End and start one part; all workers with `worker`, one with `worker-2`."""
    service, index = _service(part)
    if index is None:
        _run(folder, "restart", service, seconds=STOP_SECONDS)
        return
    found = next((one for one in status(folder) if one.name == part), None)
    if found is None:
        raise NotFound(f"No container runs as {part}.", field="part", remedy="Look at: pavo deploy status")
    done = _ask(["docker", "restart", found.container], seconds=STOP_SECONDS)
    if done.returncode:
        raise _failed("restart", done)


def status(folder: Path) -> list[ContainerState]:
    """Every container of the folder's stack, also those that ended."""
    said = _run(folder, "ps", "--all", "--format", "json", seconds=ASK_SECONDS)
    return sorted((_state(row) for row in _rows(said)), key=lambda one: (_order(one.name), one.name))


def logs(
    folder: Path, part: str | None = None, *, follow: bool = False, lines: int = 100, show: Show | None = None
) -> int:
    """Pass Docker's logs on to our own output, or each line's container and text to `show`; Docker's exit code."""
    command = [*require_docker(), "--project-directory", str(folder), "logs", "--tail", str(lines)]
    command += ["--follow"] if follow else []
    command += ["--no-color"] if show else []
    if part is not None:
        service, index = _service(part)
        command += [*(["--index", str(index)] if index is not None else []), service]
    return pass_on(command, re.compile(r"(?P<part>\S+) *\| ?(?P<line>.*)"), show, _environment(folder))


def _service(part: str) -> tuple[str, int | None]:
    """The service behind a part's name, and which of its containers; None: all of them."""
    kind = kind_of(part)
    number = part.removeprefix(f"{kind.name}-")
    return kind.name, int(number) if number != part else None


def _run(folder: Path, *words: str, seconds: float) -> str:
    command = require_docker()
    if not (folder / "compose.yaml").exists():
        raise NotFound(f"There is no compose.yaml in {folder}.", remedy="Write it: pavo deploy start --target compose")
    asked = [*command, "--project-directory", str(folder), *words]
    done = _ask(asked, seconds=seconds, environment=_environment(folder))
    if done.returncode:
        raise _failed(words[0], done)
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    """Ours without what compose.yaml has filled in: Compose would prefer it to .env, and start with other secrets."""
    file = folder / "compose.yaml"
    names = set(_FILLED_IN.findall(file.read_text())) if file.exists() else set[str]()
    return {name: value for name, value in os.environ.items() if name not in names}


def _failed(what: str, done: Done) -> DockerFailed:
    remedy = "Look at pavo deploy logs PART and docs/deployment-compose.md."
    return DockerFailed(f"docker compose {what}: {last_lines(done)}", remedy=remedy)


def _said(command: Sequence[str]) -> str:
    done = _ask(command)
    return "" if done.returncode else done.stdout.strip()


def _rows(said: str) -> list[dict[str, Any]]:
    """One JSON object a line, or (until Compose 2.20) one list."""
    text = said.strip()
    return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def _state(row: dict[str, Any]) -> ContainerState:
    service, container = str(row["Service"]), str(row["Name"])
    part = PARTS.get(service)
    number = container.rpartition("-")[2]
    name = f"{service}-{number}" if part is not None and service == "worker" else service
    return ContainerState(
        name, str(row["State"]), str(row.get("Health") or ""), int(row.get("ExitCode") or 0), container
    )


def _order(name: str) -> int:
    kinds = list(PARTS)
    kind = name.rpartition("-")[0] if name.rpartition("-")[2].isdigit() else name
    return kinds.index(kind) if kind in kinds else len(kinds)
