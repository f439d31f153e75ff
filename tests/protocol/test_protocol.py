"""The protocol of remote agents: its committed code is what its description says."""

import subprocess
import sys
from pathlib import Path

from pavo.protocol import versions
from pavo.protocol.fleet_pb2 import FromAgent, LogChunk, LogLine


def test_the_committed_code_is_what_is_generated(root: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "tools/generate_protocol.py", "--check"], cwd=root, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_a_message_comes_back_as_it_was() -> None:
    lines = [LogLine(seq=1, text="ä\x00", gap=2), LogLine(seq=2, level="error")]
    sent = FromAgent(log=LogChunk(job_id="j", epoch=3, lines=lines))
    assert FromAgent.FromString(sent.SerializeToString()) == sent


def test_an_older_side_is_told_to_upgrade() -> None:
    assert not versions.refusal(versions.PROTOCOL, "agent")
    assert "Upgrade" in versions.refusal(versions.OLDEST - 1, "agent")
