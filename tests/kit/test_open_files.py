"""The limit of open files, in processes of their own: a hard limit that was lowered stays low."""

import subprocess
import sys

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
