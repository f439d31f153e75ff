"""Pavo's own processes for tests: the API and workers, started as users start them, killed by their process id."""

import asyncio
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from pavo.deploy.local.machine.ports import free_port as free_port

READY_SECONDS = 180
_DIES_WITH_US = (
    "import os, pavo.kit.processes\npavo.kit.processes.ask_for_parents_end(9)\nos.getppid() == {} or os._exit(1)\n"
)
"""A run that is cut short leaves nothing behind. The child asks for it itself: between fork and exec Python would run
what other libraries have registered for forks, and gRPC's, beside its own threads, now and then ends the child."""
_COMMAND = "import sys, pavo.cli.main\nsys.argv = ['pavo', '{}']\nsys.exit(pavo.cli.main.main())"


@dataclass(frozen=True)
class Stores:
    """Where the three stores of a test session answer."""

    database_url: str
    """A database that exists, to make others from."""
    redis_url: str
    temporal_address: str


@dataclass
class Part:
    """One process of Pavo and its log."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self, number: int = signal.SIGKILL) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        """SIGTERM, and SIGKILL for whoever does not hear it within 20 s."""
        if self.alive():
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait(5)


@dataclass
class Parts:
    """Starts parts with one environment and ends them all."""

    environment: dict[str, str]
    directory: Path
    running: list[Part] = field(default_factory=list)

    async def start(self, name: str, *, slices: Sequence[str] = (), command: bool = False, **more: str) -> Part:
        """Start `api` or `worker` and wait until it says that it is ready.

        Args:
            slices: modules that bring further kinds of durable work.
            command: start it by Pavo's own command, as a supervisor does.
        """
        read, write = os.pipe()
        log = self.directory / f"{name}-{len(self.running)}.log"
        brought = "".join(f", {module}" for module in slices)
        code = f"import pavo.{name}, pavo.bootstrap, pavo.config{brought}\n"
        code += f"pavo.{name}.serve(pavo.config.load(), (*pavo.bootstrap.SLICES{brought},))"
        code = _DIES_WITH_US.format(os.getpid()) + (_COMMAND.format(name) if command else code)
        environment = {**os.environ, **self.environment, **more, "PAVO_READY_FD": str(write)}
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-c", code], env=environment, pass_fds=[write], stdout=stderr, stderr=stderr
            )
        os.close(write)
        part = Part(name, process, log)
        self.running.append(part)
        try:
            said = await asyncio.wait_for(asyncio.to_thread(os.read, read, 256), READY_SECONDS)
        finally:
            os.close(read)
        assert said.endswith(b"READY\n"), f"{name} did not get ready:\n{log.read_text()[-4000:]}"
        return part

    def close(self) -> None:
        for part in reversed(self.running):
            part.end()


def new_database(stores: Stores) -> str:
    """Make an empty database; its URL."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')  # pyright: ignore[reportArgumentType]
    return stores.database_url.rpartition("/")[0] + "/" + name


def drop_database(stores: Stores, url: str) -> None:
    """Remove what `new_database` made, whoever is still connected."""
    name = url.rpartition("/")[2]
    with psycopg.connect(stores.database_url, autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')  # pyright: ignore[reportArgumentType]
