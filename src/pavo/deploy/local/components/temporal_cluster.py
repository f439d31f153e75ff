"""Temporal's server on PostgreSQL: its settings, its process, its namespace. And its web UI."""

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pavo.deploy.certificates.parts import TEMPORAL, ClientFiles
from pavo.deploy.local import liveness
from pavo.deploy.local.components import temporal_schema
from pavo.deploy.local.components.component import PlainComponent, inherited_environment
from pavo.deploy.local.components.database import DatabaseServer
from pavo.deploy.local.components.dev_server import DYNAMIC_CONFIG
from pavo.deploy.local.components.temporal_programs import TemporalPrograms
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import LOOPBACK, free_port, on_loopback
from pavo.deploy.model.layout import Layout, write_private
from pavo.deploy.model.progress import Say, say_nothing

if TYPE_CHECKING:
    from temporalio.client import TLSConfig

NAMESPACE = "default"
CONNECTIONS = 40
"""How many each of the four services opens to each database; the stack's own PostgreSQL allows 400 in all."""


REFRESH = "30s"
"""How often the server looks whether its certificate was renewed; connections that are open go on."""


@dataclass(frozen=True, slots=True)
class ClusterPorts:
    """Where the four services of one server listen.

    They stay the same over restarts: PostgreSQL lists a cluster's members by these addresses, and a restarted server
    still finds itself in that list.
    """

    frontend: int
    frontend_http: int
    frontend_membership: int
    history: int
    history_membership: int
    matching: int
    matching_membership: int
    worker: int
    worker_membership: int
    metrics: int

    @classmethod
    def choose(cls, avoid: set[int]) -> "ClusterPorts":
        """Free ones."""
        taken = set(avoid)
        chosen: list[int] = []
        for _ in fields(cls):
            chosen.append(free_port(taken))
            taken.add(chosen[-1])
        return cls(*chosen)


class TemporalServer(PlainComponent):
    """All four services in one process.

    Args:
        programs: asked at each start, so that an upgrade needs a restart of this part only.
        shards: of the history; they can never be changed afterwards.
        retention: for which closed workflows are kept.
        say: told what was done to the schema.
        server_files: its certificate and key, and the authority that clients must be signed by; None: no TLS.
        operator_files: what the stack itself shows it as a client.
    """

    def __init__(
        self,
        layout: Layout,
        database: DatabaseServer,
        programs: Callable[[], TemporalPrograms],
        ports: ClusterPorts,
        *,
        shards: int,
        retention: timedelta,
        say: Say = say_nothing,
        server_files: ClientFiles | None = None,
        operator_files: ClientFiles | None = None,
    ) -> None:
        self._server_files, self._operator_files = server_files, operator_files
        self.greeting = liveness.TLS if server_files else liveness.GRPC
        self._layout, self._database, self._programs, self._ports = layout, database, programs, ports
        self._shards, self._retention, self._say = shards, retention, say
        self._prepared_for = ""
        self.address = on_loopback(ports.frontend)

    @property
    def _folder(self) -> Path:
        return self._layout.root / "temporal-server"

    def prepare(self) -> None:
        """Its settings and its schema; PostgreSQL is ready by now."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        write_private(self._folder / "server.yaml", json.dumps(self.settings(), indent=1))  # JSON is YAML
        write_private(self._folder / "dynamic.yaml", json.dumps(dynamic_settings(), indent=1))
        programs = self._programs()
        # Once for each version only, so that a part that died is back at once, whatever PostgreSQL does.
        if programs.version != self._prepared_for:
            for line in temporal_schema.prepare(self._database, programs):
                self._say(line)
            self._prepared_for = programs.version

    def settings(self) -> dict[str, Any]:
        """The server's configuration."""
        ports = self._ports
        return {
            "log": {"stdout": True, "level": "warn"},
            "persistence": {
                "defaultStore": "default",
                "visibilityStore": "visibility",
                "numHistoryShards": self._shards,
                "datastores": {
                    "default": {"sql": self._store("temporal", CONNECTIONS)},
                    "visibility": {"sql": self._store("temporal_visibility", CONNECTIONS // 2)},
                },
            },
            "global": {
                "membership": {"maxJoinDuration": "30s", "broadcastAddress": LOOPBACK},
                **({"tls": server_tls(self._server_files)} if self._server_files else {}),
                "metrics": {"prometheus": {"timerType": "histogram", "listenAddress": on_loopback(ports.metrics)}},
            },
            "services": {
                "frontend": _service(ports.frontend, ports.frontend_membership, httpPort=ports.frontend_http),
                "history": _service(ports.history, ports.history_membership),
                "matching": _service(ports.matching, ports.matching_membership),
                "worker": _service(ports.worker, ports.worker_membership),
            },
            "clusterMetadata": _alone(self.address),
            "dcRedirectionPolicy": {"policy": "noop"},
            "archival": {"history": {"state": "disabled"}, "visibility": {"state": "disabled"}},
            "dynamicConfigClient": {"filepath": str(self._folder / "dynamic.yaml"), "pollInterval": "10s"},
        }

    def _store(self, database: str, connections: int) -> dict[str, Any]:
        server = self._database
        tls = {"enabled": True, "enableHostVerification": server.sslmode == "verify-full", "serverName": server.host}
        if server.ca:
            tls["caFile"] = server.ca
        return {
            "pluginName": temporal_schema.PLUGIN,
            "databaseName": database,
            "connectAddr": server.address,
            "connectProtocol": "tcp",
            "user": server.user,
            "password": server.password,
            "maxConns": connections,
            "maxIdleConns": connections,
            "maxConnLifetime": "1h",
            **({"tls": tls} if server.encrypted else {}),
        }

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """All services."""
        command = [
            *(str(self._programs().server), "--config-file", str(self._folder / "server.yaml")),
            *("--allow-no-auth", "start"),
        ]
        return Launch(command, {**inherited_environment(), **extra}, self._layout.log(name), directory=self._folder)

    async def answers(self) -> bool:
        """The frontend is healthy; the namespace comes when it is settled."""
        from pavo.deploy.local.components import probes

        return await probes.temporal_answers(self.address, namespace=None, tls=self._as_client())

    def _as_client(self) -> "TLSConfig | None":
        return self._operator_files.config() if self._operator_files else None

    async def settle(self) -> None:
        """Register the namespace with its retention, and the search attributes of tasks."""
        from pavo.deploy.local.components import probes
        from pavo.temporal.search_attributes import TYPES

        await probes.register_namespace(self.address, NAMESPACE, self._retention, self._as_client())
        await probes.register_search_attributes(self.address, NAMESPACE, TYPES, self._as_client())


def server_tls(files: ClientFiles) -> dict[str, Any]:
    """Mutual TLS for the frontend, and between the four services: each shows the server's certificate to the others.
    Their membership protocol stays plain, for the server has no TLS for it; it carries addresses."""
    own = {"certFile": str(files.own), "keyFile": str(files.own)}
    trusted = [str(files.trusted)]
    group = {
        "server": {**own, "requireClientAuth": True, "clientCaFiles": trusted},
        "client": {"serverName": TEMPORAL, "rootCaFiles": trusted},
    }
    return {
        "internode": group,
        "frontend": group,
        "systemWorker": {**own, "client": group["client"]},
        "refreshInterval": REFRESH,
    }


def _service(port: int, membership: int, **more: int) -> dict[str, Any]:
    return {"rpc": {"grpcPort": port, "membershipPort": membership, "bindOnIP": LOOPBACK, **more}}


def _alone(address: str) -> dict[str, Any]:
    """A cluster without others to replicate to."""
    return {
        "enableGlobalNamespace": False,
        "failoverVersionIncrement": 10,
        "masterClusterName": "active",
        "currentClusterName": "active",
        "clusterInformation": {
            "active": {"enabled": True, "initialFailoverVersion": 1, "rpcName": "frontend", "rpcAddress": address}
        },
    }


def dynamic_settings() -> dict[str, Any]:
    """The tuned settings, as the server's file wants them."""
    return {key: [{"value": json.loads(value)}] for key, value in DYNAMIC_CONFIG.items()}


class TemporalUi(PlainComponent):
    """Temporal's own web UI for a server without one."""

    greeting = liveness.HTTP

    def __init__(
        self, layout: Layout, program: Path, *, port: int, temporal: str, files: ClientFiles | None = None
    ) -> None:
        self._layout, self._program, self._port, self._temporal = layout, program, port, temporal
        self._files = files
        self.address = on_loopback(port)

    @property
    def _folder(self) -> Path:
        return self._layout.root / "temporal-ui"

    def prepare(self) -> None:
        """Its settings."""
        self._folder.mkdir(mode=0o700, exist_ok=True)
        settings = {
            "temporalGrpcAddress": self._temporal,
            **({"tls": ui_tls(self._files)} if self._files else {}),
            "host": LOOPBACK,
            "port": self._port,
            "enableUi": True,
            "defaultNamespace": NAMESPACE,
            "hideLogs": True,
            "cors": {"cookieInsecure": True, "allowOrigins": [f"http://{self.address}"]},
        }
        write_private(self._folder / "pavo.yaml", json.dumps(settings, indent=1))

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """The UI's server."""
        folder = self._folder
        command = [str(self._program), "--root", str(folder.parent), "--config", folder.name, "--env", "pavo", "start"]
        environment = {**inherited_environment(), "PATH": os.environ.get("PATH", ""), **extra}
        return Launch(command, environment, self._layout.log(name), directory=folder)

    async def answers(self) -> bool:
        """It listens."""
        from pavo.deploy.local.components import probes

        return await probes.port_answers(self.address)


def ui_tls(files: ClientFiles) -> dict[str, Any]:
    """What the UI's server shows the frontend, and trusts. It reads them when it starts."""
    return {
        "caFile": str(files.trusted),
        "certFile": str(files.own),
        "keyFile": str(files.own),
        "serverName": TEMPORAL,
        "enableHostVerification": True,
    }
