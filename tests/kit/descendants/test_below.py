"""What is below a process is found and ended, whoever started it; in a process of the test's own, which adopts."""

import subprocess
import sys

PROGRAM = """
import subprocess, sys
from pathlib import Path
from pavo.kit.descendants.below import adopt_orphans, children, end_below
adopt_orphans()
kept = subprocess.Popen(["sleep", "60"])
told = subprocess.run(["sh", "-c", "setsid sleep 60 >/dev/null 2>&1 & echo $!"], capture_output=True, check=True)
orphan = int(told.stdout)
assert children() == {kept.pid, orphan}, (children(), kept.pid, orphan)
assert end_below(5, {kept.pid})
assert children() == {kept.pid} and kept.poll() is None
assert not Path(f"/proc/{orphan}").exists()
assert end_below(5)
assert children() == set()
print("ended")
"""


def test_orphans_are_adopted_and_ended_and_who_is_spared_stays() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout == "ended\n", done.stderr
