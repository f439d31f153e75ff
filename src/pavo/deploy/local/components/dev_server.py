"""Temporal's development server with an SQLite file: the embedded target's."""

import re
import signal
import subprocess
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from pavo.deploy.local import liveness
from pavo.deploy.local.components.component import PlainComponent, inherited_environment
from pavo.deploy.local.components.wheels import temporal_server
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import LOOPBACK, on_loopback
from pavo.deploy.model.layout import Layout
from pavo.errors import Unavailable

RETENTION = timedelta(days=30)
"""For how long Temporal keeps closed workflows; its development server starts with 24 hours."""
VERSION_SECONDS = 20.0

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
"""Temporal's defaults delay every workflow task by 50 ms and timers by up to a second. Its quotas protect a shared
cluster, and here is one tenant on its own machine; a stopped task is resumed under the same workflow id as soon as a
person likes; connections would be cut every five minutes, which costs every client a reconnect."""


def dev_server_versions() -> tuple[str, str]:
    """Of Temporal's server and of its UI, as its command says; empty when it does not.

    Raises:
        ConfigurationError: the wheel is not installed.
        Unavailable: it does not answer in time.
    """
    command = [str(temporal_server()), "--version"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=VERSION_SECONDS).stdout
    except subprocess.TimeoutExpired as error:
        detail = f"{command[0]} does not tell its version within {VERSION_SECONDS:g} s."
        raise Unavailable(detail, dependency="temporal") from error
    found = re.search(r"Server ([\d.]+), UI ([\d.]+)", said)
    return (found.group(1), found.group(2)) if found else ("", "")


class DevServer(PlainComponent):
    """Temporal's server, its UI and its SQLite file in one process."""

    greeting = liveness.GRPC

    def __init__(self, layout: Layout, *, port: int, ui_port: int, ephemeral: bool) -> None:
        self._layout, self._port, self._ui_port, self._ephemeral = layout, port, ui_port, ephemeral
        self.address = on_loopback(port)
        # Its own shutdown takes two seconds; throw-away data do not need it.
        self.stop_signal = signal.SIGKILL if ephemeral else None

    @property
    def _folder(self) -> Path:
        return self._layout.root / "temporal"

    def prepare(self) -> None:
        """Its folder."""
        self._folder.mkdir(mode=0o700, exist_ok=True)

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """The server, tuned."""
        synchronous = "normal" if self._ephemeral else "full"
        dynamic = [
            item for key, value in DYNAMIC_CONFIG.items() for item in ("--dynamic-config-value", f"{key}={value}")
        ]
        command = [
            *(str(temporal_server()), "server", "start-dev", "--ip", LOOPBACK, "--log-level", "warn"),
            *("--port", str(self._port), "--ui-port", str(self._ui_port)),
            *("--db-filename", str(self._layout.temporal_file), "--ui-disable-news-fetch"),
            *("--sqlite-pragma", "journal_mode=wal", "--sqlite-pragma", f"synchronous={synchronous}"),
            *dynamic,
        ]
        # Its command line tool keeps settings in the home folder; the stack's own folder keeps stacks apart.
        home = {"HOME": str(self._folder), "TEMPORAL_CONFIG_FILE": str(self._folder / "temporal.toml")}
        return Launch(
            command, {**inherited_environment(), **home, **extra}, self._layout.log(name), directory=self._folder
        )

    async def answers(self) -> bool:
        """It is healthy, and its namespace is there."""
        from pavo.deploy.local.components import probes

        return await probes.temporal_answers(self.address)

    async def settle(self) -> None:
        """Raise the retention."""
        from pavo.deploy.local.components import probes

        await probes.raise_retention(self.address, RETENTION)
