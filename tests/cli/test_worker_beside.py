"""`pavo api --with-worker`: one command, two processes, one end."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import httpx2
import pytest
from tests.driving import until
from tests.parts import Parts, free_port

from pavo.cli.stack.worker_beside import _above  # pyright: ignore[reportPrivateUsage]
from pavo.kit.processes import parents


class Running:
    """The command and its log."""

    def __init__(self, parts: Parts, folder: Path, *words: str, **more: str) -> None:
        self.port, self.log = free_port(), folder / "api.log"
        environment = {**os.environ, **parts.environment, **more, "PAVO_PORT": str(self.port)}
        environment["TEMPORAL_TASK_QUEUE"] = f"beside-{uuid.uuid4().hex}"
        command = [str(Path(sys.executable).with_name("pavo")), "api", "--with-worker", *words]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def workers(self) -> list[int]:
        """Of this command."""
        return [pid for pid, parent in parents().items() if parent == self.process.pid]

    async def serves(self) -> bool:
        try:
            async with httpx2.AsyncClient() as client:
                return (await client.get(f"http://127.0.0.1:{self.port}/readyz", timeout=5)).status_code == 200
        except httpx2.TransportError:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            return False

    async def ended(self) -> bool:
        return self.process.poll() is not None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_both_end_in_order(parts: Parts, tmp_path: Path, number: signal.Signals) -> None:
    running = Running(parts, tmp_path)
    try:
        await until(running.serves, seconds=120, what="the API")
        workers = running.workers()
        assert len(workers) == 1, "it is there when the API is"
        os.kill(running.process.pid, number)
        await until(running.ended, seconds=120, what="the end")
    finally:
        running.process.kill()
    said = running.log.read_text()
    assert running.process.returncode == 0, said[-3000:]
    assert "Worker is ending" in said and not Path(f"/proc/{workers[0]}").exists(), said[-3000:]


async def test_a_worker_that_dies_ends_the_api(parts: Parts, tmp_path: Path) -> None:
    running = Running(parts, tmp_path)
    try:
        await until(running.serves, seconds=120, what="the API")
        os.kill(running.workers()[0], signal.SIGKILL)
        await until(running.ended, seconds=120, what="the end")
    finally:
        running.process.kill()
    assert running.process.returncode not in (0, -signal.SIGTERM)
    assert "The worker has ended with code -9" in running.log.read_text()


async def test_a_worker_that_cannot_begin_says_why(parts: Parts, tmp_path: Path) -> None:
    running = Running(parts, tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1")
    await until(running.ended, seconds=120, what="the end")
    assert running.process.returncode not in (0, -signal.SIGTERM)
    assert "Temporal cannot be reached" in running.log.read_text()


async def test_one_that_is_killed_takes_its_worker_along(parts: Parts, tmp_path: Path) -> None:
    running = Running(parts, tmp_path)
    await until(running.serves, seconds=120, what="the API")
    worker = running.workers()[0]
    running.process.kill()
    running.process.wait()

    async def gone() -> bool:
        return not Path(f"/proc/{worker}").exists() or ") Z" in Path(f"/proc/{worker}/stat").read_text()

    await until(gone, seconds=120, what="the worker's end")


async def test_the_worker_has_metrics_of_its_own(parts: Parts, tmp_path: Path) -> None:
    port = free_port()
    running = Running(parts, tmp_path, "--worker-metrics", f"127.0.0.1:{port}")
    try:
        await until(running.serves, seconds=120, what="the API")
        async with httpx2.AsyncClient(timeout=30) as client:
            of_worker = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
            of_api = (await client.get(f"http://127.0.0.1:{running.port}/metrics")).text
        os.kill(running.process.pid, signal.SIGTERM)
        await until(running.ended, seconds=120, what="the end")
    finally:
        running.process.kill()
        running.process.wait()
    assert 'part="worker"' in of_worker and "pavo_steps_recorded_total" in of_worker
    assert 'part="api"' in of_api and "pavo_steps_recorded_total" not in of_api


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--worker-metrics", "127.0.0.1:9465"], "--with-worker"),
        (["--with-worker", "--worker-metrics", "here"], "127.0.0.1:9465"),
    ],
)
def test_where_the_metrics_of_no_worker_or_of_no_address_are_wanted(words: list[str], said: str) -> None:
    command = [str(Path(sys.executable).with_name("pavo")), "api", *words]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2 and said in ended.stderr, ended


def test_the_port_above_is_the_workers() -> None:
    assert [_above(each) for each in ("127.0.0.1:9464", "[::1]:0", "", "x:65535")] == [
        "127.0.0.1:9465",
        "[::1]:0",
        "",
        "x:65535",
    ]
