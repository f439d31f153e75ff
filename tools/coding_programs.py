"""Make sure that real coding programs are there for the tests of their profiles: one for each way to ask a model.

They lie in the cache then, some 950 MB. Where they cannot be had it says so and ends well: the tests are skipped with
that reason.
"""

import sys
from pathlib import Path
from typing import Final

from tools.cached import ensure, new_folder, npm_install, place

PACKAGES: Final = (
    "@openai/codex@0.169.0",
    "@anthropic-ai/claude-code@2.1.328",
    "@mariozechner/pi-coding-agent@0.73.1",
)
CACHE: Final = place("coding-programs-1")


def programs(folder: Path = CACHE) -> Path | None:
    """The folder of their commands; None: they are not there."""
    found = folder / "node_modules" / ".bin"
    return found if found.is_dir() else None


def fetch() -> None:
    """Bring them into the cache.

    Raises:
        OSError, subprocess.SubprocessError: they cannot be had.
    """
    with new_folder(CACHE) as new:
        npm_install(PACKAGES, new)


if __name__ == "__main__":
    sys.exit(ensure("The coding programs", programs, fetch))
