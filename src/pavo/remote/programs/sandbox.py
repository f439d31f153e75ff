"""Confining programs: what holds on this machine, and the words that stand before a confined program's own."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pavo.agents.confinement.landlock import version
from pavo.remote.work import CommandFailed

Kind = Literal["none", "landlock", "bubblewrap", "best"]
_SYSTEM: Final = (
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/nix/store",
    "/run/systemd/resolve",
)
_TRY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """What there is here."""

    landlock: int
    """Its version; 0: none."""
    bubblewrap: str
    """Where it is; empty: none that works."""
    network: str
    """What takes the network away beside bubblewrap: where `unshare` is; empty: nothing."""

    @property
    def words(self) -> str:
        """For people."""
        found = ["bubblewrap"] if self.bubblewrap else []
        found += [f"landlock {self.landlock}"] if self.landlock else []
        found += ["no network"] if self.bubblewrap or self.network else []
        return ", ".join(found) or "none"


@dataclass(frozen=True, slots=True)
class Reach:
    """What a confined program reaches beside the system's files."""

    worktree: str
    home: str
    writable: tuple[str, ...] = ()
    readable: tuple[str, ...] = ()
    network: bool = True


def found_here() -> Sandboxes:
    """Try what there is; takes less than a second."""
    bubblewrap = shutil.which("bwrap") or ""
    if bubblewrap and not _works([bubblewrap, "--ro-bind", "/", "/", "--unshare-pid", "--unshare-net", "true"]):
        bubblewrap = ""
    unshare = shutil.which("unshare") or ""
    if unshare and not _works([*_without_network(unshare), "true"]):
        unshare = ""
    try:
        landlock = version()
    except OSError:
        landlock = 0
    return Sandboxes(landlock, bubblewrap, unshare)


def confined(kind: Kind, here: Sandboxes, argv: Sequence[str], reach: Reach) -> list[str]:
    """The words by which a program is started confined.

    Raises:
        CommandFailed: that is not to be had on this machine.
    """
    chosen = _chosen(kind, here)
    if chosen == "bubblewrap":
        return [*_bubblewrap(here.bubblewrap, reach), *argv]
    before: list[str] = []
    if not reach.network:
        if not here.network:
            raise _missing("a program without network")
        before = _without_network(here.network)
    if chosen == "landlock":
        lists = {"writable": [reach.worktree, reach.home, *reach.writable], "readable": list(reach.readable)}
        request = json.dumps(lists | {"folder": reach.worktree})
        before += [sys.executable, "-P", "-m", "pavo.remote.programs.confined_program", request]
    return [*before, *argv]


def beside(program: str) -> tuple[str, ...]:
    """The folders that a program needs to be read which lies outside of the system's: where it is installed."""
    places = {Path(program).parent, Path(os.path.realpath(program)).parent}
    roots: set[str] = set()
    for place in places:
        root = place.parent if place.name in ("bin", ".bin") else place
        for parent in (place, *place.parents):
            if parent.name in ("node_modules", "site-packages"):
                root = parent.parent
        if root not in (Path("/"), Path.home()):
            roots.add(str(root))
    return tuple(sorted(roots))


def system_folders() -> tuple[str, ...]:
    """That every confined program reads."""
    return tuple(each for each in _SYSTEM if Path(each).exists())


def _chosen(kind: Kind, here: Sandboxes) -> Kind:
    if kind == "best":
        return "bubblewrap" if here.bubblewrap else "landlock" if here.landlock else "none"
    if kind == "bubblewrap" and not here.bubblewrap:
        raise _missing("bubblewrap")
    if kind == "landlock" and not here.landlock:
        raise _missing("Landlock")
    return kind


def _bubblewrap(program: str, reach: Reach) -> list[str]:
    words = [program, "--die-with-parent", "--unshare-pid", "--unshare-ipc", "--proc", "/proc", "--dev", "/dev"]
    for each in system_folders():
        words += ["--ro-bind", each, each]
    words += ["--tmpfs", "/tmp"]
    for each in reach.readable:
        words += ["--ro-bind-try", each, each]
    for each in (*reach.writable, reach.home, reach.worktree):
        words += ["--bind-try", each, each]
    words += [] if reach.network else ["--unshare-net"]
    return [*words, "--chdir", reach.worktree, "--"]


def _without_network(unshare: str) -> list[str]:
    return [unshare, "--net", "--"] if os.geteuid() == 0 else [unshare, "--net", "--map-current-user", "--"]


def _works(argv: list[str]) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, timeout=_TRY_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _missing(what: str) -> CommandFailed:
    remedy = "Give the job to an agent whose machine has it, or ask for less in its options or in the profile."
    return CommandFailed(f"This agent's machine has no {what}.", kind="NoSandbox", remedy=remedy)
