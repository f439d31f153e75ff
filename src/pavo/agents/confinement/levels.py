"""How well agents' processes are confined on this machine: tried in a process that is thrown away."""

import json
import os
import select
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.environment import agents_environment
from pavo.agents.confinement.landlock import version
from pavo.agents.confinement.task_folders import TaskFolders
from pavo.agents.confinement.users import UIDS, users_problem

Mode = Literal["available", "required", "landlock", "user", "both", "off"]
"""What an operator wants (PAVO_AGENT_CONFINEMENT)."""
_TRIED: Final[dict[Mode, tuple[str, ...]]] = {
    "available": ("both", "landlock", "user"),
    "required": ("both", "landlock", "user"),
    "landlock": ("landlock",),
    "user": ("user",),
    "both": ("both",),
    "off": (),
}
"""By mode, the names of levels, the best first."""
_SECONDS = 60.0
"""For an interpreter to start twice, on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What an operator wants of it."""

    mode: Mode = "available"
    readable: tuple[str, ...] = ()
    """Files and folders that agents may read beside."""
    writable: tuple[str, ...] = ()
    private: tuple[str, ...] = ()
    """Folders that no agent reads, also where something that it reads holds them."""
    uids: range = UIDS
    """The users that agents may be where the worker is root."""

    @property
    def users_possible(self) -> bool:
        """Whether agents may be users of their own, as far as that shows without trying."""
        return self.mode not in ("landlock", "off") and not users_problem(self.uids, ())

    def confinement(self, folder: Path, *, landlock: bool, user: bool) -> Confinement:
        """For an attempt whose folder this is."""
        lists = {"readable": self.readable, "writable": self.writable, "private": self.private}
        return Confinement(str(folder), landlock=landlock, uid=folder.stat().st_uid if user else None, **lists)


@dataclass(frozen=True, slots=True)
class Level:
    """What was found."""

    landlock: str
    """Which holds: "Landlock (version 7)"; empty where none does."""
    users: str
    """Which agents run as, each task's another: "1900000000 to 1999999999"; empty where they are the worker's."""
    missing: str = ""
    """For people: why there is not more."""

    @property
    def name(self) -> Literal["landlock", "user", "both", "none"]:
        """What holds, in a word."""
        if self.landlock:
            return "both" if self.users else "landlock"
        return "user" if self.users else "none"

    def meets(self, mode: Mode) -> bool:
        """Whether it is what the operator demands."""
        return mode in ("available", "off", self.name) or (mode == "required" and self.name != "none")

    @property
    def words(self) -> str:
        """What holds, in a sentence."""
        if self.name == "none":
            return f"not confined ({self.missing}): they read and write whatever the worker's user may"
        users = f"a user of each task's own ({self.users})" if self.users else ""
        by = " and ".join(each for each in (self.landlock, users) if each)
        may = "code and the system's files" if self.landlock else "what is open to all users"
        where = "in their task's folder" if self.landlock else "there and in their task's folder"
        more = f" ({self.missing})" if self.missing else ""
        return f"confined by {by}: they read {may}, write {where}, and look into no other process{more}"


def probe(folders: TaskFolders, path: list[str], wanted: Wanted, *places: Path) -> Level:
    """Try it. Takes about half a second for each level that is tried; it does not fail.

    Args:
        path: the worker's `sys.path`.
        places: what users of their own must reach beside, there or not.
    """
    if wanted.mode == "off":
        return Level("", "", "PAVO_AGENT_CONFINEMENT=off")
    lacks = {
        "landlock": "" if version() else "this system has no Landlock",
        "user": users_problem(wanted.uids, [*places, folders.root]),
        "both": "",
    }
    for name in _TRIED[wanted.mode]:
        parts = [part for part in ("landlock", "user") if name in (part, "both")]
        if not any(lacks[part] for part in parts):
            lacks[name] = _tried(folders, path, wanted, parts)
            if not lacks[name]:
                return _held(parts, wanted, lacks)
    return _held([], wanted, lacks)


def _held(parts: Sequence[str], wanted: Wanted, lacks: Mapping[str, str]) -> Level:
    """The level of these parts, and why there is not more."""
    why = lacks["both"]
    if why and wanted.mode == "both":
        return Level("", "", why)
    no_landlock = "" if "landlock" in parts or wanted.mode == "user" else lacks["landlock"] or why
    # That a worker that is no root has no other users is as it should be.
    silent = wanted.mode == "landlock" or (os.geteuid() and wanted.mode not in ("user", "both"))
    no_user = "" if "user" in parts or silent else lacks["user"] or why
    told = (no_landlock, no_user and f"no users of their own: {no_user}")
    missing = "; ".join(each for each in told if each)
    landlock = f"Landlock (version {version()})" if "landlock" in parts else ""
    return Level(landlock, f"{wanted.uids.start} to {wanted.uids[-1]}" if "user" in parts else "", missing)


def _tried(folders: TaskFolders, path: list[str], wanted: Wanted, parts: Sequence[str]) -> str:
    """What does not hold, or does not work; empty where all is well."""
    task, other = uuid.uuid4(), uuid.uuid4()
    uids = wanted.uids if "user" in parts else None
    try:
        folder, foreign = folders.make(task, uids), folders.make(other, uids) / "file"
        foreign.write_text("of somebody else")
        confinement = wanted.confinement(folder, landlock="landlock" in parts, user="user" in parts)
        return _said(json.dumps({"confinement": confinement.dump(), "path": path, "other": str(foreign)}))
    except (OSError, subprocess.SubprocessError) as error:
        return f"trying it failed: {error}"
    finally:
        folders.remove(task)
        folders.remove(other)


def _said(request: str) -> str:
    """What the process that tries it says; it must be one that this one may signal."""
    arguments = [sys.executable, "-P", "-m", "pavo.agents.confinement.probe_program"]
    pipe = subprocess.PIPE
    environment = agents_environment()
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, env=environment, text=True) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(f"{request}\n")
            process.stdin.flush()
            ready = select.select([process.stdout], [], [], _SECONDS)[0]
            said = process.stdout.readline().strip() if ready else "it took too long"
            os.kill(process.pid, 0)
            _, told = process.communicate(timeout=_SECONDS)
        finally:
            process.kill()
    if process.returncode:
        return f"a process that confined itself failed: {(told.strip() or str(process.returncode))[-300:]}"
    return said
