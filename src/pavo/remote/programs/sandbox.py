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
_NAMESPACES: Final = ("--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
REMEDY: Final = (
    "Install bubblewrap on the agent's machine and permit user namespaces there, or use a kernel with Landlock; "
    "`pavo agent doctor` tells what holds. Else give the job to another agent, or ask for less in its options or the "
    "profile."
)


@dataclass(frozen=True, slots=True)
class Sandboxes:
    """What there is here."""

    landlock: int
    """Its version; 0: none."""
    bubblewrap: str
    """Where it is; empty: none that works."""
    network: str
    """What takes the network away beside bubblewrap: where `unshare` is; empty: nothing."""
    no_bubblewrap: str = ""
    """Why there is no bubblewrap that works; empty: there is."""

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


@dataclass(frozen=True, slots=True)
class Confinement:
    """How an attempt's coding program is confined, and so are the checks that run what it has written."""

    kind: Kind = "none"
    network: bool = True
    readable: tuple[str, ...] = ()
    """What is read beside the system's files."""

    @property
    def note(self) -> str:
        """To be kept with the worktree."""
        return json.dumps([self.kind, self.network, self.readable])

    @classmethod
    def of_note(cls, note: str) -> "Confinement":
        """That was kept; none where nothing was."""
        if not note:
            return cls()
        kind, network, readable = json.loads(note)
        return cls(kind, network, tuple(readable))


def found_here() -> Sandboxes:
    """Try what there is; takes less than a second."""
    bubblewrap, why = shutil.which("bwrap") or "", "it is not installed: the program bwrap, of the package bubblewrap"
    if bubblewrap:
        why = _failure([bubblewrap, *_NAMESPACES, "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "true"])
        bubblewrap = "" if why else bubblewrap
    unshare = shutil.which("unshare") or ""
    if unshare and not _works([*_without_network(unshare), "true"]):
        unshare = ""
    try:
        landlock = version()
    except OSError:
        landlock = 0
    return Sandboxes(landlock, bubblewrap, unshare, why)


def refusal(kind: Kind, here: Sandboxes, *, network: bool = True) -> str:
    """Why a program cannot be confined as it is to be; empty: it can.

    Args:
        network: whether it may have one.
    """
    if kind == "bubblewrap" and not here.bubblewrap:
        return f"there is no bubblewrap here ({here.no_bubblewrap or 'it does not work'})"
    if kind == "landlock" and not here.landlock:
        return "this machine's kernel has no Landlock"
    if not network and not (here.network or (here.bubblewrap and kind in ("bubblewrap", "best"))):
        return "nothing here takes the network away (neither unshare nor bubblewrap works)"
    return ""


def confined(kind: Kind, here: Sandboxes, argv: Sequence[str], reach: Reach) -> list[str]:
    """The words by which a program is started confined.

    Raises:
        CommandFailed: that is not to be had on this machine.
    """
    if why := refusal(kind, here, network=reach.network):
        raise CommandFailed(f"This agent cannot confine the program: {why}.", kind="NoSandbox", remedy=REMEDY)
    chosen = _best(here) if kind == "best" else kind
    if chosen == "bubblewrap":
        return [*_bubblewrap(here.bubblewrap, reach), *argv]
    before = [] if reach.network else _without_network(here.network)
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


def _best(here: Sandboxes) -> Kind:
    return "bubblewrap" if here.bubblewrap else "landlock" if here.landlock else "none"


def _bubblewrap(program: str, reach: Reach) -> list[str]:
    words = [program, "--die-with-parent", *_NAMESPACES, "--proc", "/proc", "--dev", "/dev"]
    # Of root's rights none: whoever may mount makes what is bound for reading writable.
    words += ["--cap-drop", "ALL"] if os.geteuid() == 0 else []
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
    return not _failure(argv)


def _failure(argv: list[str]) -> str:
    """Why a program does not end well; empty: it does."""
    try:
        done = subprocess.run(argv, capture_output=True, timeout=_TRY_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"it takes longer than {_TRY_SECONDS:g} s"
    except OSError as error:
        return f"it cannot be started: {error.strerror}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][:200].rstrip(".") if lines else f"it ends with {done.returncode}"
