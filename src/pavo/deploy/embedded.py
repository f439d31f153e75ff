"""The embedded target: how each part is started on this machine from the servers in the wheels."""

import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from pavo.deploy import probes
from pavo.deploy.layout import Layout, load_secrets, write_private
from pavo.deploy.parts import kind_of
from pavo.deploy.ports import LOOPBACK, free_port, next_free
from pavo.deploy.privileges import data_place, own, unprivileged
from pavo.deploy.processes import Launch
from pavo.deploy.state import Urls
from pavo.deploy.wheels import postgres_home, redis_server, temporal_server
from pavo.errors import ConfigurationError
from pavo.kit.migrate import upgrade

RETENTION = timedelta(days=30)
"""For how long Temporal keeps closed workflows; its development server starts with 24 hours."""

DYNAMIC_CONFIG = {
    "history.transferProcessorMaxPollRPS": "100000",
    "history.timerProcessorMaxTimeShift": '"10ms"',
    "frontend.namespaceRPS": "100000",
    "frontend.rps": "100000",
    "frontend.namespaceRPS.visibility": "1000",
    "matching.rps": "100000",
    "history.rps": "100000",
}
"""The development server's defaults delay every workflow task by 50 ms and timers by up to a second."""


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
        """PostgreSQL's fast shutdown is SIGINT; everything else takes SIGTERM."""
        return signal.SIGINT if name == "postgres" else signal.SIGTERM

    def probe(self, name: str) -> Callable[[], Awaitable[bool]]:
        """Whether a store answers."""
        found: dict[str, Callable[[], Awaitable[bool]]] = {
            "postgres": lambda: probes.postgres_answers(self._database_url("postgres")),
            "redis": lambda: probes.redis_answers(self.environment["REDIS_URL"]),
            "temporal": lambda: probes.temporal_answers(self.address("temporal")),
        }
        return found[name]

    def prepare(self, name: str) -> None:
        """Before a part's first start; on a thread. An interrupted one is begun again."""
        if name == "postgres":
            self._init_postgres()

    async def settle(self, name: str) -> None:
        """When a store answers for the first time, before others use it."""
        if name == "temporal":
            await probes.raise_retention(self.address("temporal"), RETENTION)

    def settle_database(self) -> None:
        """Create and migrate Pavo's database; on a thread."""
        with psycopg.connect(self._database_url("postgres"), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = 'pavo'").fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier("pavo")))
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
            orphan_signal=signal.SIGINT,
        )

    # Redis and Temporal

    def _redis(self) -> Launch:
        folder = self._layout.root / "redis"
        folder.mkdir(exist_ok=True)
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
        return Launch([str(redis_server()), str(config)], dict(os.environ), self._layout.log("redis"), directory=folder)

    def _temporal(self) -> Launch:
        folder = self._layout.root / "temporal"
        folder.mkdir(exist_ok=True)
        synchronous = "normal" if self.options.ephemeral else "full"
        dynamic = [
            item for key, value in DYNAMIC_CONFIG.items() for item in ("--dynamic-config-value", f"{key}={value}")
        ]
        command = [
            *(str(temporal_server()), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"),
            *("--port", str(self._ports.temporal), "--ui-port", str(self._ports.temporal_ui)),
            *("--db-filename", str(folder / "temporal.db")),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", f"synchronous={synchronous}"),
            *dynamic,
        ]
        # Its command line tool keeps settings in the home folder; the stack's own folder keeps stacks apart.
        environment = {**os.environ, "HOME": str(folder), "TEMPORAL_CONFIG_FILE": str(folder / "temporal.toml")}
        return Launch(command, environment, self._layout.log("temporal"), directory=folder)

    # Pavo's own processes

    def _own_process(self, name: str, extra: Mapping[str, str]) -> Launch:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            **self.environment,
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
