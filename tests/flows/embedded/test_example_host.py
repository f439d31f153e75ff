"""`examples/embedded_engine/host.py`, killed in the middle of a refund, with Temporal and without: it goes on."""

import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from pathlib import Path

import pytest

from pavo.kit.processes import child_dies_with_us

LONG = 90.0
AWAY = "127.0.0.1:9"


class Host:
    """The program, in a folder of the test's."""

    def __init__(self, root: Path, folder: Path, environment: dict[str, str], order: str) -> None:
        self._words = [sys.executable, str(root / "examples" / "embedded_engine" / "host.py"), order]
        self._folder, self._environment = folder, {**os.environ, **environment}

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            self._words,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=child_dies_with_us(9),
        )

    def lines(self) -> list[str]:
        journal = self._folder / "refunds.log"
        return journal.read_text().splitlines() if journal.exists() else []


@pytest.mark.fault
@pytest.mark.parametrize("engine", ["temporal", "local"])
def test_goes_on_with_a_refund_after_it_was_killed(
    root: Path, tmp_path: Path, environment: dict[str, str], engine: str
) -> None:
    order = f"order-{uuid.uuid4().hex[:8]}"
    given = environment if engine == "temporal" else {**environment, "TEMPORAL_ADDRESS": AWAY, "TEMPORAL_TARGET": AWAY}
    host = Host(root, tmp_path, given, order)
    first = host.start()
    try:
        _wait(host, first, lines=2)
    finally:
        first.kill()
        first.communicate(timeout=10)
    again = host.start()
    try:
        told, errors = again.communicate(timeout=LONG)
    finally:
        again.kill()
    assert again.returncode == 0, errors
    assert told == f"refund of {order}: succeeded on {engine}, paid 12\n"
    calls = Counter(each.split()[0] for each in host.lines())
    assert list(calls) == ["fetch", "check", "pay", "tell"]
    assert calls["fetch"] == 1  # recorded before it was killed
    assert sum(calls.values()) <= 5  # what was in flight then is repeated, and nothing else


def _wait(host: Host, process: "subprocess.Popen[str]", lines: int) -> None:
    until = time.monotonic() + LONG
    while len(host.lines()) < lines:
        assert process.poll() is None and time.monotonic() < until, process.communicate(timeout=10)
        time.sleep(0.02)
