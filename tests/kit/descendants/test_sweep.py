"""Who starts itself anew for ever is ended too, and nobody is believed gone who is not."""

import subprocess
import sys

import pytest

PROGRAM = """
import os, subprocess, sys, time
from pavo.kit.descendants.below import adopt_orphans
from pavo.kit.descendants.sweep import sweep_below
CHAIN = '''
import os, time
end = time.time() + 60
while time.time() < end:
    if os.fork():
        os._exit(0)
    os.setsid()
    time.sleep(float(PAUSE))
'''.replace("PAUSE", sys.argv[1])
adopt_orphans()
for _ in range(20):
    subprocess.run([sys.executable, "-S", "-c", CHAIN], check=True)
    assert not sweep_below(20, lambda ended: None).left
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        continue
    raise SystemExit("somebody is still there")
print("ended")
"""


@pytest.mark.parametrize("pause", ["0", "0.001", "0.01"])
def test_a_chain_of_processes_is_ended(pause: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, pause], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ended\n", done.stderr
