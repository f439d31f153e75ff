"""One stack on this machine: its data directory, its lock, and its supervisor. For commands, tests and benches."""

import asyncio
import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from pavo.agents.confinement.task_folders import place_apart
from pavo.deploy.local.components.gateway_process import wanted_port
from pavo.deploy.local.components.postgres import postgres_place
from pavo.deploy.local.definition import LocalOptions, StackDefinition, StackPorts
from pavo.deploy.local.embedded import define_embedded
from pavo.deploy.local.machine.lock import take_lock
from pavo.deploy.local.machine.privileges import unprivileged
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model import kept_settings, sealing_key
from pavo.deploy.model import state as state_file
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import names_of
from pavo.errors import ConfigurationError
from pavo.kit.processes import ProcessIdentity

STORES = ("postgres", "redis", "temporal")
"""The parts that keep what the others work on."""
FOLDERS = (
    *("postgres", "redis", "temporal", "temporal-server", "temporal-ui"),
    *("logs", "agents", "artifacts", "tls", "worker-ends.asked"),
)
"""What the parts, and agents, keep in the data directory; backups lie beside them and stay."""
THROW_AWAY = ".throw-away"
"""A file that marks a temporary data directory, which `pavo up` removes at its end."""


class LocalStack:
    """Runs a stack's parts on this machine.

    `async with stack:` starts everything and leaves nothing running.

    Args:
        data_dir: where everything is kept; one stack at a time.
        build: the definition, made once the data directory is ours.
        parts: which kinds of parts to run; without, all that are defined.
        extra: environment for single parts, by name.

    Raises:
        Conflict: another stack runs on this data directory.
    """

    def __init__(
        self,
        data_dir: Path,
        build: Callable[[Layout], StackDefinition],
        *,
        parts: Sequence[str] | None = None,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        on_ready: Callable[[str, float], None] = lambda _name, _seconds: None,
        on_start: Callable[[str], None] = lambda _name: None,
    ) -> None:
        self.layout = Layout(data_dir.absolute())
        self._build, self._parts = build, parts
        self._extra = extra or {}
        self._on_ready, self._on_start = on_ready, on_start
        self._lock: IO[str] | None = None
        self._definition: StackDefinition | None = None
        self._supervisor: Supervisor | None = None

    @property
    def definition(self) -> StackDefinition:
        """Components and addresses; there once the stack was started."""
        assert self._definition is not None
        return self._definition

    @property
    def supervisor(self) -> Supervisor:
        """Who watches the parts; there once the stack was started."""
        assert self._supervisor is not None
        return self._supervisor

    @property
    def environment(self) -> dict[str, str]:
        """DATABASE_URL, REDIS_URL, TEMPORAL_ADDRESS and so on."""
        return self.definition.environment

    @property
    def api_url(self) -> str:
        """Where the API answers."""
        return self.definition.urls.api

    async def start(self) -> None:
        """Start everything; when a part does not get ready, end what was started."""
        self._take_lock()
        try:
            await end_orphans(self.layout)
            self._definition = await asyncio.to_thread(self._build, self.layout)
            await asyncio.to_thread(self._definition.before)
            counts = {"api": self._definition.options.apis, "worker": self._definition.options.workers}
            self._supervisor = Supervisor(
                self.layout,
                self._definition,
                names_of(self._parts or tuple(self._definition.components), counts),
                on_ready=self._on_ready,
                on_start=self._on_start,
                extra=self._extra,
            )
            await self._supervisor.start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End everything in order."""
        if self._supervisor is not None:
            await self._supervisor.stop()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """Send a part a signal; answers its pid. The supervisor brings back what dies."""
        return self.supervisor.signal(name, number)

    def _take_lock(self) -> None:
        make_directory(self.layout)
        self._lock = take_lock(self.layout)


class EmbeddedStack(LocalStack):
    """PostgreSQL, Valkey, Temporal's development server and Pavo's own processes, all from wheels.

    Args:
        ephemeral: throw-away data: quicker, and not safe against power loss.
        parts: which kinds of parts to run; `STORES` for tests that bring their own workers.
        port: of the API; 0 for any.
        ports: asked for those of all parts once the data directory is ours; without, any free ones.
        spare_worker: let one more process wait to replace a worker that dies.
        extra, on_ready, on_start: as for every stack.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        ephemeral: bool = False,
        parts: Sequence[str] | None = None,
        workers: int = 1,
        port: int = 0,
        ports: Callable[[], StackPorts] | None = None,
        allow_file_origin: bool = False,
        spare_worker: bool = False,
        extra: Mapping[str, Mapping[str, str]] | None = None,
        on_ready: Callable[[str, float], None] = lambda _name, _seconds: None,
        on_start: Callable[[str], None] = lambda _name: None,
    ) -> None:
        options = LocalOptions(
            port, workers, ephemeral=ephemeral, allow_file_origin=allow_file_origin, spare_worker=spare_worker
        )
        super().__init__(
            data_dir,
            lambda layout: define_embedded(layout, options, ports() if ports else _ports(layout, options.port)),
            parts=parts,
            extra=extra,
            on_ready=on_ready,
            on_start=on_start,
        )


def _ports(layout: Layout, api: int) -> StackPorts:
    return StackPorts.choose(api, wanted_port(layout) if api else 0)


def make_directory(layout: Layout) -> None:
    """Make the data directory. Other users see nothing of it; root's they may pass through, for PostgreSQL then runs as
    another user.

    Raises:
        ConfigurationError: this user may not write there.
    """
    try:
        if not layout.root.exists():
            layout.root.mkdir(parents=True)
            layout.root.chmod(0o711 if os.geteuid() == 0 else 0o700)
        layout.logs.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"The data directory {layout.root} cannot be used: {error}.",
            field="--data-dir",
            remedy="Choose one that this user may write, with --data-dir or PAVO_DATA_DIR.",
        ) from error


async def end_orphans(layout: Layout) -> int:
    """End what a supervisor that was killed may have left behind; answers how many processes that were."""
    state = state_file.read(layout.root)
    parts = state.parts if state else ()
    named = [ProcessIdentity(part.pid, part.started) for part in parts if part.pid and part.started]
    alive = [orphan for orphan in named if orphan.alive()]
    for orphan in alive:
        orphan.signal(signal.SIGKILL)
    for orphan in alive:
        await orphan.wait_gone(5)
    return len(alive)


def remove_data(data_dir: Path) -> None:
    """Remove what a stack keeps in its data directory, and elsewhere for PostgreSQL; an empty directory goes too."""
    elsewhere = postgres_place(Layout(data_dir.absolute()), unprivileged())
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(elsewhere)
    for each in (*(data_dir / name for name in FOLDERS), place_apart(data_dir)):
        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(each)
    for name in (
        "state.json",
        "secrets.json",
        sealing_key.NAME,
        "deployment.json",
        "worker-ends.json",
        THROW_AWAY,
        "lock",
    ):
        (data_dir / name).unlink(missing_ok=True)
    kept_settings.remove(Layout(data_dir))
    with contextlib.suppress(OSError):  # somebody keeps other files here
        data_dir.rmdir()
