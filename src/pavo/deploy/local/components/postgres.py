"""PostgreSQL on this machine, from the wheel or from installed programs, as a user that is not root."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote

from pavo.deploy.certificates.parts import ClientFiles
from pavo.deploy.local import liveness
from pavo.deploy.local.components.component import PlainComponent
from pavo.deploy.local.components.postgres_programs import PostgresPrograms
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import LOOPBACK, on_loopback
from pavo.deploy.local.machine.privileges import Runner, data_place, own
from pavo.deploy.model.layout import Layout, write_private
from pavo.errors import ConfigurationError
from pavo.kit.processes import ProcessIdentity

BUILTIN_LOCALE = 17
"""The first major with a locale provider of its own, which needs nothing of the system."""


def clear_stale_pid(data: Path) -> None:
    """Take away the pid file that a killed server left behind.

    Its pid may be a zombie or by now another process, and a new server would refuse to start. If a server does still
    run on these data, because its supervisor was killed, it is ended first.
    """
    file = data / "postmaster.pid"
    try:
        old = ProcessIdentity.of(int(file.read_text().split("\n", 1)[0]))
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


class PostgresServer(PlainComponent):
    """One server with the databases of the stack.

    Args:
        password: of the user `pavo`, who owns everything.
        databases: made when the server answers for the first time.
        answered: called on a thread when it answers for the first time, before anything else.
        settled: called on a thread afterwards, with the URL of `pavo`'s database: the schema.
        files: its certificate and key, and the authority that clients trust; None: no TLS.
    """

    def __init__(
        self,
        layout: Layout,
        runner: Runner,
        programs: PostgresPrograms,
        *,
        port: int,
        password: str,
        ephemeral: bool,
        databases: tuple[str, ...],
        settled: Callable[[str], None],
        answered: Callable[[], None] = lambda: None,
        files: ClientFiles | None = None,
    ) -> None:
        self._files = files
        self.greeting = liveness.POSTGRES_TLS if files else liveness.POSTGRES
        self._layout, self._runner, self._programs = layout, runner, programs
        self._port, self._password, self._ephemeral = port, password, ephemeral
        self._databases, self._settled, self._answered = databases, settled, answered
        self.address = on_loopback(port)
        self.data = postgres_place(layout, runner) / "data"
        """Where it keeps its files; settled once, for it depends on permissions of folders above it."""

    def url(self, database: str) -> str:
        """How its owner logs in."""
        url = f"postgresql://pavo:{self._password}@{self.address}/{database}"
        if self._files is None:
            return url
        return f"{url}?sslmode=verify-full&sslrootcert={quote(str(self._files.trusted), safe='')}"

    def prepare(self) -> None:
        """Make the cluster at the first start."""
        refuse_other_major(self.data, self._programs.major)
        if not (self.data / "PG_VERSION").exists():
            self._make_cluster()
        clear_stale_pid(self.data)
        self.take_certificate()

    def take_certificate(self) -> None:
        """Give the server's user its certificate as it is now; the server reads it when it starts, and at SIGHUP."""
        if self._files is None:
            return
        try:
            pem = self._files.own.read_text()
        except OSError as error:
            said = f"PostgreSQL's certificate cannot be read: {error}."
            raise ConfigurationError(said, field="--data-dir") from error
        draft = self._certificate.with_suffix(".draft")
        write_private(draft, pem)
        if self._runner.uid is not None and self._runner.gid is not None:
            os.chown(draft, self._runner.uid, self._runner.gid)
        draft.replace(self._certificate)

    @property
    def _certificate(self) -> Path:
        return self.data.with_name("server.pem")

    def _make_cluster(self) -> None:
        own(self.data.parent, self._runner)
        draft = self.data.with_name("draft")
        subprocess.run(["rm", "-rf", str(draft)], check=True)
        password = self.data.with_name("password")
        write_private(password, self._password)
        if self._runner.uid is not None and self._runner.gid is not None:
            os.chown(password, self._runner.uid, self._runner.gid)
        locale = (
            ("--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C")
            if self._programs.major >= BUILTIN_LOCALE
            else ("--locale", "C.UTF-8")
        )
        done = subprocess.run(
            [
                *(str(self._programs.home(self._runner) / "bin" / "initdb"), "--pgdata", str(draft)),
                *("--username", "pavo", "--auth", "scram-sha-256", "--pwfile", str(password), "--encoding", "UTF8"),
                *(*locale, *(["--no-sync"] if self._ephemeral else [])),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.data.parent,
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
        draft.rename(self.data)

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """The server, with full synchronisation unless its data are thrown away."""
        settings = {
            "listen_addresses": LOOPBACK,
            "port": self._port,
            "unix_socket_directories": "",
            "max_connections": 400,
            "shared_buffers": "128MB",
            "wal_level": "replica",
            "max_wal_size": "1GB",
            "synchronous_commit": "on",
            "fsync": "off" if self._ephemeral else "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
        }
        if self._files is not None:
            own = str(self._certificate)
            settings |= {"ssl": "on", "ssl_cert_file": own, "ssl_key_file": own, "ssl_ca_file": ""}
        flags = [item for key, value in settings.items() for item in ("-c", f"{key}={value}")]
        server = str(self._programs.home(self._runner) / "bin" / "postgres")
        return Launch(
            command=[server, "-D", str(self.data), *flags],
            environment={"PATH": os.environ.get("PATH", ""), "TZ": "UTC", **extra},
            log=self._layout.log(name),
            directory=self.data,
            uid=self._runner.uid,
            gid=self._runner.gid,
            orphan_signal=signal.SIGQUIT,  # its own children go with it
        )

    async def answers(self) -> bool:
        """A login with the stack's own password.

        Raises:
            ConfigurationError: the data were made with another one.
        """
        from pavo.deploy.local.components import probes

        try:
            return await probes.postgres_answers(self.url("postgres"))
        except PermissionError as error:
            raise ConfigurationError(
                f"PostgreSQL's data in {self.data} do not take the password in {self._layout.root / 'secrets.json'}.",
                field="--data-dir",
                remedy="They were made with another one: put back the secrets.json of then; or, where these data are "
                f"left from a stack that was removed by hand, remove {self.data.parent} and start again.",
            ) from error

    async def settle(self) -> None:
        """Its databases, and Pavo's schema."""
        await asyncio.to_thread(self._settle)

    def _settle(self) -> None:
        import psycopg
        from psycopg import sql

        self._answered()
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            for name in self._databases:
                if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone():
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        self._settled(self.url("pavo"))


def refuse_other_major(data: Path, major: int) -> None:
    """Refuse data that another major wrote.

    Raises:
        ConfigurationError: with the way to move them.
    """
    try:
        found = (data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        return
    if found != str(major):
        raise ConfigurationError(
            f"{data} was written by PostgreSQL {found}; this one is {major}.",
            field="--postgres",
            remedy="Start with the same major (--postgres), take a backup there (pavo deploy backup), and "
            "restore it into a stack with the new one (pavo deploy restore).",
        )


def postgres_place(layout: Layout, runner: Runner) -> Path:
    """The folder around a stack's PostgreSQL data."""
    return data_place(layout.root / "postgres", runner)
