"""How well agents' processes are confined on this machine: tried in a process that is thrown away."""

import json
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pavo.agents.confinement.confined import Confinement
from pavo.agents.confinement.environment import agents_environment
from pavo.agents.confinement.landlock import version
from pavo.agents.confinement.task_folders import TaskFolders

_SECONDS = 60.0
"""For an interpreter to start twice, on a machine that is busy."""


@dataclass(frozen=True, slots=True)
class Level:
    """What was found."""

    name: Literal["landlock", "none"]
    detail: str
    """For people: the kernel's version of it, or why there is none."""

    @property
    def words(self) -> str:
        """What holds, in a sentence."""
        if self.name == "landlock":
            return (
                f"confined by {self.detail}: they read code and the system's files, write in their task's folder, "
                "and look into no other process"
            )
        return f"not confined ({self.detail}): they read and write whatever the worker's user may"


def probe(folders: TaskFolders, path: list[str], private: tuple[str, ...] = ()) -> Level:
    """Try it. Takes about half a second where there is Landlock; it does not fail.

    Args:
        path: the worker's `sys.path`.
        private: folders that nobody reads by way of what holds them.
    """
    task = uuid.uuid4()
    try:
        if not (found := version()):
            return Level("none", "this system has no Landlock")
        folder, other = folders.make(task), folders.root / f".probe-{task}"
        other.write_text("of somebody else")
        try:
            problem = _tried(Confinement(str(folder), landlock=True, private=private), other, path)
        finally:
            other.unlink()
    except (OSError, subprocess.SubprocessError) as error:
        return Level("none", f"trying it failed: {error}")
    finally:
        folders.remove(task)
    return Level("none", problem) if problem else Level("landlock", f"Landlock (version {found})")


def _tried(confinement: Confinement, other: Path, path: list[str]) -> str:
    """What does not hold, or does not work; empty where all is well."""
    request = json.dumps({"confinement": confinement.dump(), "path": path, "other": str(other)})
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pavo.agents.confinement.probe_program"],
        input=request,
        env=agents_environment(),
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    if done.returncode:
        return f"a process that confined itself failed: {(done.stderr.strip() or str(done.returncode))[-300:]}"
    return done.stdout.strip()


def off() -> Level:
    """Where the operator wants none."""
    return Level("none", "PAVO_AGENT_CONFINEMENT=off")
