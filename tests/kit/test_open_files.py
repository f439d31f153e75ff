"""The limit of open files, in processes of their own: a hard limit that was lowered stays low."""

import asyncio
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pavo.api import NEEDED_FILES
from tests.parts import Parts, free_port

CODE = """
import logging, resource, sys
logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
from pavo.kit.open_files import allow_open_files
soft, hard, needed = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
print(allow_open_files(needed), *resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def limits(soft: int, hard: int, needed: int) -> list[str]:
    """What a process with these limits says: lines of the log, then the answer and both limits."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(soft), str(hard), str(needed)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_low_soft_limit_is_raised() -> None:
    assert limits(64, 512, 256) == ["256 256 512"]


def test_a_low_hard_limit_is_reached_and_told() -> None:
    told, found = limits(64, 128, 256)
    assert found == "128 128 128"
    assert told.startswith("WARNING Only 128 files may be open") and "256" in told and "LimitNOFILE" in told


def test_a_high_limit_stays() -> None:
    assert limits(512, 512, 256) == ["512 512 512"]


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="reads /proc")
async def test_the_api_raises_the_limit_that_it_begins_with(parts: Parts) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    try:
        part = await parts.start("api", PAVO_PORT=str(free_port()))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    reached = NEEDED_FILES if hard == resource.RLIM_INFINITY else min(hard, NEEDED_FILES)
    with Path(f"/proc/{part.pid}/limits").open() as limits_of_it:
        [line] = [line for line in limits_of_it if line.startswith("Max open files")]
    assert int(line.split()[3]) == reached > 1024
    await asyncio.to_thread(part.end)
