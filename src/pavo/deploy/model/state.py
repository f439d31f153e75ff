"""The state file: what a running stack tells other commands."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from pavo.deploy.model.layout import Layout, default_data_dir, write_private
from pavo.errors import ConfigurationError, Conflict
from pavo.kit.processes import ProcessIdentity

DEFAULT_URL: Final = "http://127.0.0.1:8000"
"""Where `pavo up` listens unless told otherwise."""


@dataclass(frozen=True, slots=True)
class PartState:
    """What people see of a part."""

    name: str
    state: str
    """waiting, starting, ready, restarting or stopped."""
    pid: int | None
    address: str
    restarts: int
    log: str
    started: str | None = None
    """With the pid it names the process for good."""
    last_end: str = ""
    """How the process before this one ended, for people: "was killed by signal 9"; empty before the first restart."""
    version: str = ""
    """Of Pavo, as its process said; empty for other servers, which are asked when somebody wants to know."""
    settings: int | None = None
    """The revision of the deployment's kept settings that its process was started with."""


@dataclass(frozen=True, slots=True)
class Urls:
    """Where people find things."""

    api: str
    ui: str
    docs: str
    temporal_ui: str
    gateway: str = ""
    """Where remote agents connect to."""
    gateway_ca: str = ""
    """The file with the CA's certificate that they are given; empty where the operator brings a certificate."""


@dataclass(frozen=True, slots=True)
class StackState:
    """A stack as its supervisor last described it."""

    supervisor: ProcessIdentity
    ready: bool
    ephemeral: bool
    data_dir: str
    parts: tuple[PartState, ...]
    urls: Urls
    environment: dict[str, str]
    """How to reach the parts: DATABASE_URL and so on; with passwords, so the file is private."""
    target: str = "embedded"
    versions: dict[str, str] = field(default_factory=dict[str, str])
    """What runs, by kind of part."""

    def public(self) -> dict[str, Any]:
        """What `pavo status -o json` shows."""
        parts = [asdict(part) for part in self.parts]
        for part in parts:
            del part["started"], part["settings"]
        return {"parts": parts, "urls": asdict(self.urls), "data_dir": self.data_dir}


def write(layout: Layout, state: StackState) -> None:
    """Replace the state file."""
    write_private(layout.state, json.dumps(asdict(state), indent=1))


def read(data_dir: Path | None = None) -> StackState | None:
    """What the supervisor wrote last; None when there is nothing. Whether it still runs, `supervisor.alive()` tells.

    Raises:
        ConfigurationError: the file is not ours or broken.
    """
    path = Layout(data_dir or default_data_dir()).state
    try:
        raw: dict[str, Any] = json.loads(path.read_text())
        raw["supervisor"] = ProcessIdentity(**raw["supervisor"])
        raw["parts"] = tuple(PartState(**_known(PartState, part)) for part in raw["parts"])
        raw["urls"] = Urls(**_known(Urls, raw["urls"]))
        return StackState(**_known(StackState, raw))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigurationError(
            f"The state file {path} cannot be read: {error}.",
            field="--data-dir",
            remedy="Use the data directory of your own stack, or remove its state.json.",
        ) from error


def _known(kind: type, raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that this version knows: a supervisor of a later one may still run, and tells more."""
    return {field.name: raw[field.name] for field in fields(kind) if field.name in raw}


def running(data_dir: Path | None = None) -> StackState | None:
    """The state of the stack that runs on this data directory, if one does."""
    state = read(data_dir)
    return state if state is not None and state.supervisor.alive() else None


def refuse_running(data_dir: Path) -> None:
    """Refuse early where a stack runs; whoever works on its data must take the lock all the same.

    Raises:
        Conflict: one runs.
    """
    if running(data_dir):
        raise Conflict(
            f"A stack runs on {data_dir} already.",
            field="--data-dir",
            remedy=f"Look at it: pavo status --data-dir {data_dir}. End it: pavo down --data-dir {data_dir}",
        )


def find_api_url(data_dir: Path | None = None) -> str:
    """$PAVO_URL, else the running stack's, else `DEFAULT_URL`."""
    chosen = os.environ.get("PAVO_URL")
    if chosen:
        return chosen.rstrip("/")
    state = running(data_dir)
    return state.urls.api if state else DEFAULT_URL


def database_url(data_dir: Path | None = None) -> str:
    """$DATABASE_URL, else the running stack's.

    Raises:
        ConfigurationError: there is neither.
    """
    chosen = os.environ.get("DATABASE_URL")
    if chosen:
        return chosen
    state = running(data_dir)
    if state is None:
        raise ConfigurationError(
            "No stack runs, and DATABASE_URL is not set.",
            field="DATABASE_URL",
            remedy="Start the stack with pavo up, or set DATABASE_URL.",
        )
    return state.environment["DATABASE_URL"]
