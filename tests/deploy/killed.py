"""A restore that is killed at a chosen moment, as a real process."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from pavo.deploy.model import deployment
from pavo.deploy.model.layout import Layout

POINTS = {
    "undecided": "deployment.save = die_after(1)",
    "decided": "restoring.finish = lambda layout, *rest: die() if pending(layout) else finish(layout, *rest)",
    "half": "backup._take_place = lambda *of: die() if done else (done.append(1), take_place(*of))",
    "one file": "sqlite_file.take_place = lambda *of: (put_file(*of), die())",
    "undecided again": "deployment.save = die_after(2)",
    "ended": "deployment.save = die_after(2)",
}
"""By name: everything is restored beside, nothing decided; decided; one database has its place; Temporal's file has its
place; all have, and only the note of it is missing. "undecided again" is for a restore that first ends an older one."""
RUN = """
import os, signal, sys
from pavo.cli.main import main
from pavo.deploy.local.dumps import database_dump as backup
from pavo.deploy.model import deployment
from pavo.deploy.local.dumps import unfinished_restore as restoring
from pavo.deploy.local.dumps import sqlite_file
done = []
finish, take_place, save, put_file = restoring.finish, backup._take_place, deployment.save, sqlite_file.take_place
def pending(layout):
    chosen = deployment.load(layout)
    return chosen is not None and chosen.restoring
def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)
def die_after(saves):
    return lambda *of: die() if len(done) == saves else (done.append(1), save(*of))
{}
sys.argv[0] = "pavo"
main()
"""


def decided(layout: Layout) -> bool:
    """Whether a restore was decided and not ended."""
    chosen = deployment.load(layout)
    return chosen is not None and bool(chosen.restoring)


def killed_restore(data_dir: Path, backup: Path, point: str) -> None:
    """`pavo deploy restore`, killed at one of `POINTS`."""
    words = ["deploy", "restore", str(backup), "--auto-approve", "--data-dir", str(data_dir)]
    done = subprocess.run(
        [sys.executable, "-c", RUN.format(POINTS[point]), *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == -signal.SIGKILL, f"{done.returncode}: {done.stdout}{done.stderr}"
