"""A whole Pavo under its own supervisor, each link between two of its parts through a fault proxy.

The parts, their settings and who brings back what dies are the product's: `pavo.deploy`'s embedded target. What is
added are the links, and that a part can be killed and held down.
"""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from pavo.deploy.local.components.gateway_process import GatewayPlace
from pavo.deploy.local.components.pavo_process import PavoProcess
from pavo.deploy.local.definition import LocalOptions, StackDefinition, StackPorts, pavo_environment
from pavo.deploy.local.embedded import define_embedded
from pavo.deploy.local.stack import STORES, LocalStack, remove_data
from pavo.deploy.local.supervisor import Supervisor
from pavo.deploy.model.layout import Layout, load_secrets
from pavo.deploy.model.state import PartState
from pavo.errors import Unavailable
from pavo.kit.processes import ProcessIdentity
from tests.driving import pause
from tests.faults.proxy import Link

GONE_SECONDS = 10.0
"""For a process to be gone after SIGKILL."""
START_SECONDS = 60.0
OWN = ("api", "worker")


async def until(check: Callable[[], Awaitable[Any]], seconds: float, what: str) -> Any:
    """The first true answer of `check`; it may raise until then."""
    begun, last = time.monotonic(), None
    while (waited := time.monotonic() - begun) < seconds:
        try:
            if found := await check():
                return found
        except Exception as error:  # noqa: BLE001 - kept for the message below
            last = error
        await asyncio.sleep(pause(waited))
    raise AssertionError(f"{what}: not within {seconds} s (last: {last!r})")


@dataclass(frozen=True)
class Part:
    """One supervised process, whichever it is at the moment."""

    name: str
    supervisor: Supervisor

    @property
    def state(self) -> PartState:
        return next(part for part in self.supervisor.states() if part.name == self.name)

    @property
    def pid(self) -> int:
        return self.supervisor.pid(self.name)

    @property
    def alive(self) -> bool:
        try:
            return self.pid > 0
        except Unavailable:
            return False

    def send(self, number: signal.Signals) -> None:
        """A signal to the process itself, not to its children."""
        with suppress(Unavailable):
            self.supervisor.signal(self.name, number)


class Stack:
    """The parts, by name: postgres, redis, temporal, api, worker-1, …, and `links` such as "worker-postgres".

    Args:
        env: more of it for the API and the workers.
    """

    def __init__(self, folder: Path, *, workers: int = 1, env: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.kills: dict[str, int] = {}
        self._env = dict(env or {})
        self._ports = StackPorts.choose(0)
        self._options = LocalOptions(self._ports.api, workers, ephemeral=True)
        upstream = {"postgres": self._ports.postgres, "redis": self._ports.redis, "temporal": self._ports.temporal}
        self.links = {f"{kind}-{store}": Link(upstream[store]) for kind in OWN for store in STORES}
        self._local = LocalStack(self.data, self._target)

    # Addresses, past every proxy

    @property
    def api(self) -> str:
        """The API's URL."""
        return self._local.api_url

    @property
    def gateway(self) -> GatewayPlace:
        """Where remote agents connect."""
        return GatewayPlace.of(Layout(self.data), self._ports.gateway)

    @property
    def database_url(self) -> str:
        return self._local.environment["DATABASE_URL"]

    @property
    def redis_url(self) -> str:
        return self._local.environment["REDIS_URL"]

    @property
    def temporal_address(self) -> str:
        return self._local.environment["TEMPORAL_ADDRESS"]

    # Definition

    def _target(self, layout: Layout) -> StackDefinition:
        """The embedded target, whose API and workers find the stores behind the links."""
        target = define_embedded(layout, self._options, self._ports)
        own = pavo_environment(target.environment, self._options, self._ports, load_secrets(layout).session_key)
        linked = {
            kind: PavoProcess(layout, partial(self._linked, kind, own), target.components[kind].address) for kind in OWN
        }
        return replace(target, components={**target.components, **linked})

    def _linked(self, kind: str, environment: Mapping[str, str]) -> dict[str, str]:
        """A part's environment, with each store's port exchanged for the link's."""
        found = {**environment, "PAVO_AUTH": "dev", "PAVO_AGENT_SILENCE_SECONDS": "1", "PYTHONFAULTHANDLER": "1"}
        found["PYTHONPATH"] = os.pathsep.join([str(self.folder / "plugins"), os.environ.get("PYTHONPATH", "")])
        found["PAVO_AGENT_PATHS"] = f"{tempfile.gettempdir()}:rw"  # where tests hold agents, and these tell
        for variable, store in zip(("DATABASE_URL", "REDIS_URL", "TEMPORAL_ADDRESS"), STORES, strict=True):
            direct, link = f":{getattr(self._ports, store)}", f":{self.links[f'{kind}-{store}'].port}"
            assert direct in found[variable]
            found[variable] = found[variable].replace(direct, link)
        return {**found, **self._env}

    # Life

    async def start(self) -> None:
        """Links, then everything behind and before them; returns when all are ready."""
        self.folder.chmod(0o711)  # PostgreSQL's own user walks through it
        for link in self.links.values():
            await link.start()
        await self._local.start()

    async def stop(self) -> None:
        """End everything, over open links, for a worker that hears nothing drains for long; nothing is left."""
        await self._local.stop()
        await asyncio.gather(*(link.close() for link in self.links.values()))

    def part(self, name: str) -> Part:
        return Part(name, self._local.supervisor)

    @property
    def workers(self) -> list[Part]:
        """The worker processes."""
        states = self._local.supervisor.states()
        return [self.part(state.name) for state in states if state.name.startswith("worker")]

    async def kill(self, name: str) -> None:
        """SIGKILL; the supervisor starts it again."""
        await self._kill([self.part(name)])

    async def kill_all(self) -> None:
        """SIGKILL everything at once; the supervisor starts it again."""
        await self._kill([self.part(state.name) for state in self._local.supervisor.states()])

    async def _kill(self, parts: Sequence[Part]) -> None:
        alive = [part for part in parts if part.alive]
        killed = {part.name: ProcessIdentity.of(part.pid) for part in alive}
        for part in alive:
            self.kills[part.name] = self.kills.get(part.name, 0) + 1
            part.send(signal.SIGKILL)
        for name, identity in killed.items():
            assert identity is None or await identity.wait_gone(GONE_SECONDS), f"{name} survives SIGKILL"

    async def down(self, name: str) -> None:
        """SIGKILL, and hold it down."""
        self.kills[name] = self.kills.get(name, 0) + 1
        self.part(name).send(signal.SIGKILL)
        await self._local.supervisor.stop_part(name)

    async def up(self, name: str) -> None:
        """Start what was held down, and wait until it is ready."""
        await self._local.supervisor.start_part(name)

    async def ready(self, seconds: float = 60) -> None:
        """Until every part that is wanted is back."""
        supervisor = self._local.supervisor
        wanted = [part.name for part in supervisor.states() if part.state != "stopped"]
        await asyncio.wait_for(asyncio.gather(*(supervisor.until_ready(name) for name in wanted)), seconds)

    # Questions

    async def sql(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Rows of one statement, past every proxy."""
        connection = await psycopg.AsyncConnection.connect(self.database_url, autocommit=True, connect_timeout=3)
        async with connection:
            cursor = await connection.execute(query, arguments)  # pyright: ignore[reportArgumentType]
            return await cursor.fetchall() if cursor.description else []


@asynccontextmanager
async def running_stack(
    *,
    prepare: Callable[[Path], None] = lambda _folder: None,
    release: Callable[[], None] = lambda: None,
    **options: Any,
) -> AsyncIterator[Stack]:
    """A stack that is gone afterwards, its folder too unless the test failed (`PAVO_KEEP` keeps it).

    Args:
        prepare: given the folder before anything is there.
        release: called when everything has ended.
    """
    folder = Path(tempfile.mkdtemp(prefix="pavo-faults-"))
    prepare(folder)
    stack = Stack(folder, **options)
    failed = True
    try:
        await stack.start()
        yield stack
        failed = False
    finally:
        await stack.stop()
        release()
        if failed or os.environ.get("PAVO_KEEP"):
            sys.stderr.write(f"\nlogs are kept in {stack.data / 'logs'}\n")
        else:
            remove_data(stack.data)
            shutil.rmtree(folder, ignore_errors=True)
