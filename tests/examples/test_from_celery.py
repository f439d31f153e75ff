"""`examples/from_celery`: the same orchestrator on both, both workers killed in the middle of it."""

import asyncio
import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from pavo.kit.processes import child_dies_with_us
from tests.driving import Tasks, types, until
from tests.parts import Parts, Stores, drop_database, free_port, new_database

pytestmark = [pytest.mark.fault]
EXAMPLE = Path(__file__).parents[2] / "examples" / "from_celery"
CHAPTERS = [f"chapter{number}" for number in range(1, 9)]
SECONDS = 0.25
VISIBILITY = 1
"""Seconds; the broker looks when a worker begins, and then for a long time no more."""


class OnCelery:
    """The example on Celery: a database, a queue and workers of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self._environment, self._log = environment, log
        self._workers: list[subprocess.Popen[bytes]] = []
        self.module: Any = None

    def worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "on_celery", "worker", "-P", "prefork", "-c", "1"]
        with self._log.open("ab") as output:
            started = subprocess.Popen(
                [*command, "-l", "WARNING", "--without-gossip", "--without-mingle"],
                cwd=EXAMPLE,
                env={**os.environ, **self._environment, "PYTHONDONTWRITEBYTECODE": "1"},
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=child_dies_with_us(signal.SIGKILL),
            )
        self._workers.append(started)
        return started

    @staticmethod
    def kill(worker: subprocess.Popen[bytes]) -> None:
        """SIGKILL, to all of its processes, as when a machine goes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(10)

    def close(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                self.kill(worker)

    def row(self, digest: str) -> tuple[str, int]:
        [row] = self.module.rows("SELECT status, begun FROM digests WHERE id = %s", digest)
        return row

    async def is_in(self, digest: str, status: str) -> None:
        async def there() -> bool:
            return (await asyncio.to_thread(self.row, digest))[0] == status

        await until(there, what=f"status {status}; the log: {self._log.read_text()[-2000:]}")


class Listener:
    """A page that listens to a digest from now on."""

    def __init__(self, module: Any, digest: str) -> None:
        self._lines: Iterator[str] = module.stream(digest)
        self.heard: list[str] = []
        assert next(self._lines).startswith(":")
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with contextlib.suppress(Exception):  # the server goes with the session
            for line in self._lines:
                self.heard.append(line)

    async def hears(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.heard) >= count

        await until(enough, what=f"{count} events")


@pytest.fixture
def celery(stores: Stores, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OnCelery]:
    pytest.importorskip("celery", reason="celery is in the group bench")
    url = new_database(stores)
    environment = {
        "DIGEST_REDIS": stores.redis_url,
        "DIGEST_DATABASE": url,
        "DIGEST_QUEUE": f"digest-{uuid.uuid4().hex[:8]}",
        "DIGEST_VISIBILITY": str(VISIBILITY),
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    found = OnCelery(environment, tmp_path / "celery.log")
    found.module = loaded("on_celery")
    yield found
    found.close()
    found.module.app.close()
    drop_database(stores, url)


def loaded(name: str) -> Any:
    """A module of the example, anew: it reads its environment when it is imported."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLE / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def killed_in_the_middle(celery: OnCelery) -> tuple[str, Listener]:
    """A digest whose worker was killed after some chapters, and who listened to it."""
    digest = uuid.uuid4().hex
    worker = celery.worker()
    celery.module.rows("SELECT 1")
    celery.module.create(digest, " ".join(CHAPTERS), SECONDS)
    listener = await asyncio.to_thread(Listener, celery.module, digest)
    await listener.hears(3)
    celery.kill(worker)
    return digest, listener


async def test_on_celery_it_is_orphaned(celery: OnCelery) -> None:
    digest, listener = await killed_in_the_middle(celery)
    heard = len(listener.heard)
    celery.worker()
    # Another digest is taken and done: the new worker works, and has nothing else to do.
    other = uuid.uuid4().hex
    celery.module.create(other, "one", 0.0)
    await celery.is_in(other, "DONE")
    assert celery.row(digest) == ("RUNNING", 1), "the flag says that it runs"
    assert len(listener.heard) == heard, "and nobody is at it"
    late = await asyncio.to_thread(Listener, celery.module, digest)
    assert late.heard == [], "what a page missed, it never learns"


async def test_with_late_acknowledgement_it_begins_again_later(
    celery: OnCelery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(celery._environment, "DIGEST_ACKS_LATE", "1")
    digest, listener = await killed_in_the_middle(celery)
    heard, killed = len(listener.heard), time.monotonic()
    assert celery.row(digest) == ("RUNNING", 1)

    async def over() -> bool:
        return time.monotonic() - killed > VISIBILITY

    await until(over, what="the broker's time")
    celery.worker()
    await celery.is_in(digest, "DONE")
    status, begun = celery.row(digest)
    assert (status, begun) == ("DONE", 2) and len(listener.heard) > heard


class Agent:
    """The example on Pavo."""

    def __init__(self, parts: Parts, environment: dict[str, str], tasks: Tasks) -> None:
        self.parts, self.environment, self.tasks = parts, environment, tasks


@pytest_asyncio.fixture
async def pavo(parts: Parts, tmp_path: Path) -> AsyncIterator[Agent]:
    source, site = tmp_path / "source", tmp_path / "site"
    shutil.copytree(EXAMPLE, source, ignore=shutil.ignore_patterns("__pycache__"))
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    installer = [uv, "pip"] if uv else [sys.executable, "-m", "pip"]
    command = [*installer, "install", "-q", "--no-deps", "--target", str(site), str(source)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    port = str(free_port())
    environment = {
        "TEMPORAL_TASK_QUEUE": f"digest-{uuid.uuid4().hex[:8]}",
        "PAVO_PORT": port,
        "PAVO_SECRET_KEY": uuid.uuid4().hex,
        "PYTHONPATH": os.pathsep.join([str(site), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
    }
    api = await parts.start("api", **environment)
    headers = {"X-User-Email": "ada.digest@example.com"}
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30) as client:
        yield Agent(parts, environment, Tasks(client))
    api.end()


async def test_on_pavo_it_goes_on(pavo: Agent) -> None:
    tasks = pavo.tasks
    worker = await pavo.parts.start("worker", **pavo.environment)
    options = {"seconds": SECONDS}
    task = await tasks.started(options, agent_type="digest", auto_accept=True, prompt=" ".join(CHAPTERS))

    async def three() -> bool:
        return (await tasks.get(task))["steps"] >= 3

    await until(three, what="three items")
    worker.kill()
    worker = await pavo.parts.start("worker", **pavo.environment)
    await tasks.wait(task, "DONE")
    events = await tasks.events(task)
    assert [event["name"] for event in events if event["type"] == "chapter"] == CHAPTERS, "each once, in order"
    assert types(events, "recovered") == ["recovered"], "by itself: nobody began it again"
    late = [event async for _, event in tasks.stream(task)]
    assert [event["name"] for event in late if event["type"] == "chapter"] == CHAPTERS, "who comes late reads it all"
    report = next(each for each in await tasks.documents(task) if each["kind"] == "REPORT")["body"]
    assert report == "Read: " + ", ".join(CHAPTERS)
    worker.end()
