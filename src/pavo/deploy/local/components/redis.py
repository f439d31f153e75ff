"""Valkey (or Redis) on this machine."""

from collections.abc import Mapping
from pathlib import Path

from pavo.deploy.local import liveness
from pavo.deploy.local.components.component import PlainComponent, inherited_environment
from pavo.deploy.local.components.wheels import redis_server
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import LOOPBACK, on_loopback
from pavo.deploy.model.layout import Layout, write_private


class RedisServer(PlainComponent):
    """One server. Its data could be lost without harm; they are kept all the same."""

    greeting = liveness.REDIS

    def __init__(self, layout: Layout, *, port: int, password: str, ephemeral: bool) -> None:
        self._layout, self._port, self._password, self._ephemeral = layout, port, password, ephemeral
        self.address = on_loopback(port)

    @property
    def url(self) -> str:
        """How clients reach it."""
        return f"redis://:{self._password}@{self.address}/0"

    @property
    def _folder(self) -> Path:
        return self._layout.root / "redis"

    def prepare(self) -> None:
        """Its settings, in a private file: they hold the password."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lines = [
            f"bind {LOOPBACK}",
            f"port {self._port}",
            f"dir {self._folder}",
            f"requirepass {self._password}",
            f"appendonly {'no' if self._ephemeral else 'yes'}",
            'save ""',
            "client-output-buffer-limit pubsub 64mb 16mb 60",
        ]
        write_private(self._folder / "redis.conf", "\n".join(lines) + "\n")

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """The server."""
        command = [str(redis_server()), str(self._folder / "redis.conf")]
        return Launch(command, {**inherited_environment(), **extra}, self._layout.log(name), directory=self._folder)

    async def answers(self) -> bool:
        """PING."""
        from pavo.deploy.local.components import probes

        return await probes.redis_answers(self.url)
