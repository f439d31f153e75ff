"""The embedded target: how each part is started on this machine from the servers in the wheels.

Clients of the stores are imported where they are used: it takes a second, in which the stores start.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pavo.deploy.layout import Layout, load_secrets, write_private
from pavo.deploy.parts import kind_of
from pavo.deploy.ports import LOOPBACK, free_port, next_free
from pavo.deploy.privileges import data_place, own, unprivileged
from pavo.deploy.processes import Identity, Launch
from pavo.deploy.state import Urls
from pavo.deploy.wheels import postgres_home, redis_server, temporal_server
from pavo.errors import ConfigurationError

RETENTION = timedelta(days=30)
"""For how long Temporal keeps closed workflows; its development server starts with 24 hours."""

DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "100000",
    "history.timerProcessorMaxTimeShift": '"10ms"',
    "frontend.namespaceRPS": "100000",
    "frontend.rps": "100000",
    "frontend.namespaceRPS.visibility": "10000",
    "frontend.namespaceCount": "100000",
    "matching.rps": "100000",
    "history.rps": "100000",
    "frontend.persistenceMaxQPS": "100000",
    "history.persistenceMaxQPS": "100000",
    "matching.persistenceMaxQPS": "100000",
    "system.visibilityPersistenceMaxReadQPS": "100000",
    "system.visibilityPersistenceMaxWriteQPS": "100000",
    "history.maximumSignalsPerExecution": "100000",
    "history.workflowIdReuseMinimalInterval": '"0s"',
    "frontend.keepAliveMaxConnectionAge": '"24h"',
}
"""The development server's defaults delay every workflow task by 50 ms and timers by up to a second. Its quotas protect
a shared cluster, and here is one tenant on its own machine; a stopped task is resumed under the same workflow id as
soon as a person likes; connections would be cut every five minutes, which costs every client a reconnect."""

FOREIGN = ("DATABASE_", "REDIS_", "TEMPORAL_", "PG", "PYTHONDONTWRITEBYTECODE")
"""Variables of a shell that is set up for other services (another database, Temporal Cloud) stay outside. And parts may
cache their bytecode, without which each start takes seconds longer."""


@dataclass(frozen=True, slots=True)
class Options:
    """What people choose at `pavo up`."""

    port: int = 8000
    workers: int = 1
    ephemeral: bool = False
    """Throw-away data: the stores do not wait for the disk."""
    allow_file_origin: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """Where the parts listen; fixed for the life of a stack, so that a restarted part is found again."""

    postgres: int
    redis: int
    temporal: int
    temporal_ui: int
    api: int

    @classmethod
    def choose(cls, api: int) -> "Ports":
        """Free ones; for the API the wanted one or the next free one."""
        taken: set[int] = set()
        for _ in range(4):
            taken.add(free_port(taken))
        postgres, redis, temporal, temporal_ui = taken
        return cls(postgres, redis, temporal, temporal_ui, next_free(api) if api else free_port(taken))


def inherited() -> dict[str, str]:
    """Our environment without what it says of other services."""
    return {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}


def clear_stale_pid(data: Path) -> None:
    """Take away the pid file that a killed server left behind.

    Its pid may be a zombie or by now another process, and a new server would refuse to start. A server that really
    still runs on these data (its supervisor was killed) is ended first.
    """
    file = data / "postmaster.pid"
    try:
        old = Identity.of(int(file.read_text().split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return
    if old is not None and _runs_in(old.pid, data):
        old.signal(signal.SIGQUIT)
        asyncio.run(old.wait_gone(5))
        old.signal(signal.SIGKILL)
        asyncio.run(old.wait_gone(5))
    file.unlink(missing_ok=True)


def _runs_in(pid: int, data: Path) -> bool:
    """Whether this process works in the data directory, as a server does."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink() == data.resolve()
    except PermissionError:
        return False
    except FileNotFoundError:  # no /proc
        command = ["ps", "-o", "command=", "-p", str(pid)]
        return str(data) in subprocess.run(command, capture_output=True, text=True, check=False).stdout


class Embedded:
    """Launches, probes and addresses of one stack."""

    def __init__(self, layout: Layout, options: Options, ports: Ports) -> None:
        self._layout = layout
        self.options = options
        self._ports = ports
        self._secrets = load_secrets(layout)
        self._runner = unprivileged()

    @property
    def urls(self) -> Urls:
        """Where people find things."""
        api = f"http://{LOOPBACK}:{self._ports.api}"
        return Urls(api, f"{api}/", f"{api}/docs", f"http://{LOOPBACK}:{self._ports.temporal_ui}")

    @property
    def environment(self) -> dict[str, str]:
        """How clients reach the stores."""
        return {
            "DATABASE_URL": self._database_url("pavo"),
            "REDIS_URL": f"redis://:{self._secrets.redis}@{self.address('redis')}/0",
            "TEMPORAL_ADDRESS": self.address("temporal"),
            "TEMPORAL_NAMESPACE": "default",
            "TEMPORAL_TASK_QUEUE": "orchestrator",
        }

    def address(self, name: str) -> str:
        """host:port of a part; empty for a worker."""
        port = {
            "postgres": self._ports.postgres,
            "redis": self._ports.redis,
            "temporal": self._ports.temporal,
            "api": self._ports.api,
        }.get(name)
        return f"{LOOPBACK}:{port}" if port else ""

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """How to start a part; `extra` environment is for its process alone."""
        builders: dict[str, Callable[[], Launch]] = {
            "postgres": self._postgres,
            "redis": self._redis,
            "temporal": self._temporal,
        }
        builder = builders.get(name)
        return builder() if builder else self._own_process(name, extra)

    def stop_signal(self, name: str) -> int:
        """PostgreSQL's fast shutdown is SIGINT; everything else takes SIGTERM.

        Temporal's own shutdown takes two seconds, which throw-away data are not worth.
        """
        if name == "temporal" and self.options.ephemeral:
            return signal.SIGKILL
        return signal.SIGINT if name == "postgres" else signal.SIGTERM

    def probe(self, name: str) -> Callable[[], Awaitable[bool]]:
        """Whether a store answers. Takes its time for imports when it is first called."""
        from pavo.deploy import probes

        found: dict[str, Callable[[], Awaitable[bool]]] = {
            "postgres": lambda: probes.postgres_answers(self._database_url("postgres")),
            "redis": lambda: probes.redis_answers(self.environment["REDIS_URL"]),
            "temporal": lambda: probes.temporal_answers(self.address("temporal")),
        }
        return found[name]

    def prepare(self, name: str) -> None:
        """Before each start of a part; on a thread. An interrupted one is begun again."""
        if name == "postgres":
            self._init_postgres()
            clear_stale_pid(self.postgres_data)

    async def settle(self, name: str) -> None:
        """When a store answers for the first time, before others use it."""
        if name == "temporal":
            from pavo.deploy import probes

            await probes.raise_retention(self.address("temporal"), RETENTION)

    def settle_database(self) -> None:
        """Create and migrate Pavo's database; on a thread."""
        import psycopg

        from pavo.kit.migrate import upgrade

        with psycopg.connect(self._database_url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'pavo'").fetchone():
                connection.execute("CREATE DATABASE pavo")
        upgrade(self._database_url("pavo"))

    def _database_url(self, database: str) -> str:
        return f"postgresql://pavo:{self._secrets.postgres}@{self.address('postgres')}/{database}"

    # PostgreSQL

    @property
    def postgres_data(self) -> Path:
        """Where PostgreSQL keeps its files."""
        return data_place(self._layout.root / "postgres", self._runner) / "data"

    def _init_postgres(self) -> None:
        data = self.postgres_data
        if (data / "PG_VERSION").exists():
            return
        own(data.parent, self._runner)
        draft = data.with_name("draft")
        subprocess.run(["rm", "-rf", str(draft)], check=True)
        password = data.with_name("password")
        write_private(password, self._secrets.postgres)
        if self._runner.uid is not None and self._runner.gid is not None:
            os.chown(password, self._runner.uid, self._runner.gid)
        done = subprocess.run(
            [
                *(str(postgres_home(self._runner) / "bin" / "initdb"), "--pgdata", str(draft), "--username", "pavo"),
                *("--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8"),
                *("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C", "--no-instructions"),
                *(["--no-sync"] if self.options.ephemeral else []),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=data.parent,
            user=self._runner.uid,
            group=self._runner.gid,
            extra_groups=[] if self._runner.dropped else None,
            env={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
        )
        password.unlink()
        if done.returncode:
            raise ConfigurationError(
                f"initdb failed: {done.stderr.strip()[-500:]}",
                field="postgres",
                remedy="Look at pavo doctor; disk space and write access to the data directory are the usual ones.",
            )
        draft.rename(data)

    def _postgres(self) -> Launch:
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self._ports.postgres,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "128MB",
            "wal_level": "replica",
            "max_wal_size": "1GB",
            "synchronous_commit": "on",
            "fsync": "off" if self.options.ephemeral else "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        flags = [item for name, value in settings.items() for item in ("-c", f"{name}={value}")]
        server = str(postgres_home(self._runner) / "bin" / "postgres")
        return Launch(
            command=[server, "-D", str(self.postgres_data), *flags],
            environment={"PATH": os.environ.get("PATH", ""), "TZ": "UTC"},
            log=self._layout.log("postgres"),
            directory=self.postgres_data,
            uid=self._runner.uid,
            gid=self._runner.gid,
            orphan_signal=signal.SIGQUIT,  # its own children go with it
        )

    # Redis and Temporal

    def _redis(self) -> Launch:
        folder = self._layout.root / "redis"
        folder.mkdir(mode=0o700, exist_ok=True)
        lines = [
            f"bind {LOOPBACK}",
            f"port {self._ports.redis}",
            f"dir {folder}",
            f"requirepass {self._secrets.redis}",
            f"appendonly {'no' if self.options.ephemeral else 'yes'}",
            'save ""',
            "client-output-buffer-limit pubsub 64mb 16mb 60",
        ]
        config = folder / "redis.conf"
        write_private(config, "\n".join(lines) + "\n")
        return Launch([str(redis_server()), str(config)], inherited(), self._layout.log("redis"), directory=folder)

    def _temporal(self) -> Launch:
        folder = self._layout.root / "temporal"
        folder.mkdir(mode=0o700, exist_ok=True)
        synchronous = "normal" if self.options.ephemeral else "full"
        dynamic = [
            item for key, value in DYNAMIC_CONFIG.items() for item in ("--dynamic-config-value", f"{key}={value}")
        ]
        command = [
            *(str(temporal_server()), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"),
            *("--port", str(self._ports.temporal), "--ui-port", str(self._ports.temporal_ui)),
            *("--db-filename", str(folder / "temporal.db"), "--ui-disable-news-fetch"),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", f"synchronous={synchronous}"),
            *dynamic,
        ]
        # Its command line tool keeps settings in the home folder; the stack's own folder keeps stacks apart.
        environment = {**inherited(), "HOME": str(folder), "TEMPORAL_CONFIG_FILE": str(folder / "temporal.toml")}
        return Launch(command, environment, self._layout.log("temporal"), directory=folder)

    # Pavo's own processes

    def _own_process(self, name: str, extra: Mapping[str, str]) -> Launch:
        environment = {
            **inherited(),
            **self.environment,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            "PAVO_HOST": LOOPBACK,
            "PAVO_PORT": str(self._ports.api),
            "PAVO_SECRET_KEY": self._secrets.session_key,
            "PAVO_TEMPORAL_UI_URL": self.urls.temporal_ui,
            "PAVO_ALLOW_FILE_ORIGIN": str(self.options.allow_file_origin).lower(),
            **extra,
        }
        kind = kind_of(name).name
        command = [sys.executable, "-m", "pavo.cli.main", kind]
        return Launch(command, environment, self._layout.log(name), directory=self._layout.root, ready_line=True)
