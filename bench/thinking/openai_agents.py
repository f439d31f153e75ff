"""openai-agents on Temporal, in an environment of its own in the bench's cache: its integration takes an older one."""

import subprocess
import sys
from pathlib import Path

from bench.arms.restate import CACHE

PACKAGES = ("temporalio-openai-agents==1.1.0", "openai-agents==0.22.3", "temporalio==1.35.0", "uvloop")


def python() -> Path | None:
    """The interpreter of that environment, installed on first use; None where that is impossible."""
    folder = CACHE / "openai-agents"
    found = folder / "bin" / "python"
    if not (folder / "complete").exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        for command in ([sys.executable, "-m", "venv", str(folder)], [str(found), "-m", "pip", "install", *PACKAGES]):
            try:
                subprocess.run(command, check=True, timeout=300, capture_output=True)
            except (subprocess.SubprocessError, OSError):
                return None
        (folder / "complete").touch()
    return found


def absent() -> str | None:
    """Why this arm cannot run, or None."""
    return None if python() else f"the packages {', '.join(PACKAGES)} cannot be installed here"
