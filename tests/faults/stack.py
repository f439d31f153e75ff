"""A whole Pavo as real processes, each link between two of them through a fault proxy.

The processes are watched like the embedded stack's: one that dies is started again, unless it is held down.
"""

import asyncio
import contextlib
import ctypes
import os
import pwd
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from redis.asyncio import Redis
from temporalio.client import Client

from pavo.deploy.local.components.wheels import postgres_home, redis_server
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.kit import migrate
from tests.faults.proxy import Link

_LIBC = ctypes.CDLL(None)
STORES = ("postgres", "redis", "temporal")
ENTRY = "from pavo.config import load; from pavo.{0} import serve; serve(load())"
RESTART_SECONDS = 0.2
START_SECONDS = 60.0
USER = "nobody"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def until(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """The first true answer of `check`; it may raise until then."""
    deadline, last = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        try:
            if found := await check():
                return found
        except Exception as error:  # noqa: BLE001 - kept for the message below
            last = error
        await asyncio.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s (last: {last!r})")


@dataclass(eq=False)
class Part:
    """One process, started as often as need be."""

    name: str
    argv: list[str]
    ready: Callable[[], Awaitable[Any]]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    user: str | None = None
    process: asyncio.subprocess.Process | None = None
    wanted: bool = False
    starts: int = 0
    announces: bool = False
    _pipe: int | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def spawn(self) -> None:
        """Start the process."""
        self.wanted = True
        self.starts += 1
        env, pass_fds = {**os.environ, **self.env}, ()
        if self.announces:
            if self._pipe is not None:
                os.close(self._pipe)
            self._pipe, theirs = os.pipe()
            os.set_blocking(self._pipe, False)
            env["PAVO_READY_FD"], pass_fds = str(theirs), (theirs,)
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=self.cwd,
                user=self.user,
                group=pwd.getpwnam(self.user).pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                start_new_session=True,
                pass_fds=pass_fds,
                preexec_fn=_die_with_the_tests if sys.platform.startswith("linux") else None,
            )
        for descriptor in pass_fds:
            os.close(descriptor)

    async def is_ready(self) -> bool:
        """Whether it says so on its pipe, or answers."""
        if not self.announces:
            return bool(await self.ready())
        assert self._pipe is not None
        try:
            return os.read(self._pipe, 100) != b""
        except BlockingIOError:
            return False

    def send(self, number: signal.Signals) -> None:
        """A signal to the process itself, not to its children."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)

    async def end(self) -> None:
        """Stop it for good, and whatever it left in its session."""
        self.wanted = False
        if self.process is None:
            return
        if self.alive:
            self.send(signal.SIGCONT)
            self.send(signal.SIGINT if self.name == "postgres" else signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.process.wait(), 8)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        if self._pipe is not None:
            os.close(self._pipe)
            self._pipe = None


class Stack:
    """The parts, by name: postgres, redis, temporal, api, worker-1, …, and `links` such as "worker-postgres"."""

    def __init__(
        self, folder: Path, *, workers: int = 1, env: Mapping[str, str] | None = None, postgres_data: Path | None = None
    ) -> None:
        self.folder = folder
        self.parts: dict[str, Part] = {}
        self.links: dict[str, Link] = {}
        self.kills: dict[str, int] = {}
        self._env = dict(env or {})
        self._data = postgres_data or folder / "pgdata"
        self._ports = {name: free_port() for name in (*STORES, "api")}
        self._queue = f"faults-{secrets.token_hex(4)}"
        self._workers = workers
        self._watch: asyncio.Task[None] | None = None
        self._define_stores()

    # Addresses

    @property
    def api(self) -> str:
        """The API's URL."""
        return f"http://127.0.0.1:{self._ports['api']}"

    @property
    def database_url(self) -> str:
        """PostgreSQL, past every proxy."""
        return self._database_url(self._ports["postgres"])

    @property
    def redis_port(self) -> int:
        """Redis, past every proxy."""
        return self._ports["redis"]

    @property
    def temporal_address(self) -> str:
        """Temporal, past every proxy."""
        return f"127.0.0.1:{self._ports['temporal']}"

    @property
    def workers(self) -> list[Part]:
        """The worker processes."""
        return [part for name, part in self.parts.items() if name.startswith("worker")]

    @staticmethod
    def _database_url(port: int) -> str:
        return f"postgresql://pavo@127.0.0.1:{port}/postgres"

    # Definition

    def _define_stores(self) -> None:
        root = os.geteuid() == 0
        user = USER if root else None
        logs = self.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        port = self._ports
        binaries = postgres_home(unprivileged()) / "bin"
        self._initdb = [
            str(binaries / "initdb"),
            "-D",
            str(self._data),
            "-U",
            "pavo",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-sync",
        ]
        postgres = [
            str(binaries / "postgres"),
            "-D",
            str(self._data),
            "-p",
            str(port["postgres"]),
            "-h",
            "127.0.0.1",
            "-k",
            "",
            "-c",
            "max_connections=120",
            "-c",
            "shared_buffers=32MB",
        ]
        redis = [
            str(redis_server()),
            "--port",
            str(port["redis"]),
            "--bind",
            "127.0.0.1",
            "--save",
            "",
            "--dir",
            str(self.folder),
        ]
        temporal = [
            str(Path(sys.executable).parent / "temporal"),
            "server",
            "start-dev",
            "--ip",
            "127.0.0.1",
            "--port",
            str(port["temporal"]),
            "--headless",
            "--db-filename",
            str(self.folder / "temporal.db"),
            "--log-level",
            "warn",
            "--sqlite-pragma",
            "journal_mode=wal",
            "--sqlite-pragma",
            "synchronous=normal",
            "--dynamic-config-value",
            "history.transferProcessorMaxPollRPS=100000",
            "--dynamic-config-value",
            'history.timerProcessorMaxTimeShift="10ms"',
        ]
        self.parts["postgres"] = Part(
            "postgres", postgres, self._ask_postgres, logs / "postgres", user=user, cwd=self._data
        )
        self.parts["redis"] = Part("redis", redis, self._ask_redis, logs / "redis")
        self.parts["temporal"] = Part("temporal", temporal, self._ask_temporal, logs / "temporal")

    def _define_own(self) -> None:
        for number in range(self._workers + 1):
            name = f"worker-{number}" if number else "api"
            kind = "worker" if number else "api"
            env = {
                "PYTHONPATH": os.pathsep.join([str(self.folder / "plugins"), os.environ.get("PYTHONPATH", "")]),
                "DATABASE_URL": self._database_url(self.links[f"{kind}-postgres"].port),
                "REDIS_URL": f"redis://127.0.0.1:{self.links[f'{kind}-redis'].port}/0",
                "TEMPORAL_ADDRESS": f"127.0.0.1:{self.links[f'{kind}-temporal'].port}",
                "TEMPORAL_TASK_QUEUE": self._queue,
                "PAVO_PORT": str(self._ports["api"]),
                "PAVO_AUTH": "dev",
                "PAVO_AGENT_SILENCE_SECONDS": "1",
                **self._env,
            }
            argv = [sys.executable, "-X", "faulthandler", "-c", ENTRY.format(kind)]
            self.parts[name] = Part(name, argv, _never, self.folder / "logs" / name, env=env, announces=True)

    # Life

    async def start(self) -> None:
        """Stores, schema, links, then API and workers; returns when all are ready."""
        await self._make_database()
        await asyncio.gather(*(self.up(name) for name in STORES))
        await asyncio.to_thread(migrate.upgrade, self.database_url)
        for kind in ("api", "worker"):
            for store in STORES:
                link = self.links[f"{kind}-{store}"] = Link(self._ports[store])
                await link.start()
        self._define_own()
        own = [name for name in self.parts if name not in STORES]
        await asyncio.gather(*(self.up(name) for name in own))
        self._watch = asyncio.create_task(self._restart_the_dead())

    async def _make_database(self) -> None:
        self.folder.chmod(0o755)
        self._data.mkdir(exist_ok=True)
        part = self.parts["postgres"]
        if part.user:
            shutil.chown(self._data, part.user)
        self._data.chmod(0o700)
        options: dict[str, Any] = {"user": part.user, "extra_groups": []} if part.user else {}
        process = await asyncio.create_subprocess_exec(
            *self._initdb, cwd="/tmp", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, **options
        )
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()

    async def up(self, name: str) -> None:
        """Start one part and wait until it is ready, again if it dies meanwhile (its predecessor's remains)."""
        part = self.parts[name]
        await part.spawn()

        async def ready() -> bool:
            if not part.alive:
                await asyncio.sleep(RESTART_SECONDS)
                await part.spawn()
            return await part.is_ready()

        await until(ready, START_SECONDS, f"{name} ready, see {part.log}")

    async def down(self, name: str) -> None:
        """Kill one part and hold it down."""
        self.parts[name].wanted = False
        await self.kill(name)

    async def kill(self, name: str) -> None:
        """SIGKILL; the watch starts it again."""
        part = self.parts[name]
        if part.alive:
            self.kills[name] = self.kills.get(name, 0) + 1
            part.send(signal.SIGKILL)
            assert part.process is not None
            await part.process.wait()

    async def ready(self, seconds: float = 60) -> None:
        """Until every part that is wanted is alive and the API is ready."""

        async def check() -> bool:
            alive = all(part.alive for part in self.parts.values() if part.wanted)
            return alive and bool(await self._ask_postgres() and await self._ask_redis() and await self._ask_temporal())

        await until(check, seconds, "stack ready")

    async def stop(self) -> None:
        """End everything; nothing is left."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        own = [part for name, part in self.parts.items() if name not in STORES]
        for part in own:
            part.wanted = False
        await asyncio.gather(*(link.close() for link in self.links.values()))
        await asyncio.gather(*(part.end() for part in own))
        await asyncio.gather(*(self.parts[name].end() for name in STORES))

    async def _restart_the_dead(self) -> None:
        while True:
            for part in list(self.parts.values()):
                if part.wanted and not part.alive:
                    await asyncio.sleep(RESTART_SECONDS)
                    if part.wanted and not part.alive:
                        await part.spawn()
            await asyncio.sleep(0.05)

    # Questions

    async def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement, past every proxy."""
        connection = await psycopg.AsyncConnection.connect(self.database_url, autocommit=True, connect_timeout=3)
        async with connection:
            cursor = await connection.execute(query, arguments)  # pyright: ignore[reportArgumentType]
            return await cursor.fetchall() if cursor.description else []

    async def _ask_postgres(self) -> bool:
        return bool(await self.sql("SELECT 1"))

    async def _ask_redis(self) -> bool:
        client = Redis(port=self._ports["redis"], socket_timeout=1)
        try:
            return bool(await client.ping())
        finally:
            await client.aclose()

    async def _ask_temporal(self) -> bool:
        client = await asyncio.wait_for(Client.connect(self.temporal_address), 3)
        return bool(await client.service_client.check_health())

    def log_text(self, name: str) -> str:
        """What a part wrote."""
        return self.parts[name].log.read_text(errors="replace")


def _die_with_the_tests() -> None:
    """Linux: a test run that is itself killed leaves no stack behind (PR_SET_PDEATHSIG)."""
    _LIBC.prctl(1, signal.SIGKILL)


async def _never() -> bool:
    return False


@asynccontextmanager
async def running_stack(**options: Any) -> AsyncIterator[Stack]:
    """A stack that is gone afterwards, its folder too unless the test failed (`PAVO_KEEP` keeps it)."""
    folder = Path(tempfile.mkdtemp(prefix="pavo-faults-"))
    prepare = options.pop("prepare", None)
    if prepare is not None:
        prepare(folder)
    stack = Stack(folder, **options)
    failed = True
    try:
        await stack.start()
        yield stack
        failed = False
    finally:
        await stack.stop()
        if failed or os.environ.get("PAVO_KEEP"):
            sys.stderr.write(f"\nlogs are kept in {folder / 'logs'}\n")
        else:
            shutil.rmtree(folder, ignore_errors=True)
