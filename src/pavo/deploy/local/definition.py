"""What a stack on this machine consists of: the components behind its parts, and how clients reach them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pavo.deploy.local.components.component import Component, import_probes
from pavo.deploy.local.components.gateway_process import GatewayPlace
from pavo.deploy.local.machine.part_process import Launch
from pavo.deploy.local.machine.ports import LOOPBACK, free_port, next_free, on_loopback
from pavo.deploy.model import kept_settings, setting_rules
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.state import Urls


@dataclass(frozen=True, slots=True)
class LocalOptions:
    """What people choose for the processes on this machine."""

    port: int = 8000
    workers: int = 1
    apis: int = 1
    """API processes that share the port (Linux)."""
    ephemeral: bool = False
    """Throw-away data: the stores do not wait for the disk."""
    allow_file_origin: bool = False
    spare_worker: bool = False
    """Whether one more process waits to replace a worker that dies."""


@dataclass(frozen=True, slots=True)
class StackPorts:
    """Where the parts listen. It does not change while a stack runs, so that a restarted part is found again."""

    postgres: int
    redis: int
    temporal: int
    temporal_ui: int
    api: int
    gateway: int

    @classmethod
    def choose(cls, api: int, gateway: int = 0) -> "StackPorts":
        """Free ones; for the API and the gateway the wanted ones or the next free ones; 0 for any."""
        taken: set[int] = set()
        for _ in range(4):
            taken.add(free_port(taken))
        postgres, redis, temporal, temporal_ui = taken
        taken.add(api := next_free(api) if api else free_port(taken))
        gateway = next_free(gateway, taken) if gateway else free_port(taken)
        return cls(postgres, redis, temporal, temporal_ui, api, gateway)


@dataclass(frozen=True, slots=True)
class StackDefinition:
    """What the supervisor runs.

    `components` has one entry for each kind of part that is a process here; `environment` tells clients how to reach
    the stores (DATABASE_URL and so on, with passwords).
    """

    name: str
    """embedded or native."""
    options: LocalOptions
    components: Mapping[str, Component]
    environment: dict[str, str]
    urls: Urls
    versions: Mapping[str, str]
    """What runs, by kind of part, for people."""
    before: Callable[[], None] = lambda: None
    """Called on a thread before anything is started: what outside services need."""
    independent: frozenset[str] = frozenset()
    """Kinds of parts that need no other here, whatever the model says: the development server brings its own store."""

    def component(self, name: str) -> Component:
        """What runs behind a part: `worker-2` is a `worker`."""
        return self.components[kind_of(name).name]

    def address(self, name: str) -> str:
        """host:port of a part; empty for a worker."""
        return self.component(name).address

    def launch(self, name: str, extra: Mapping[str, str]) -> Launch:
        """How to start a part; `extra` environment is for its process alone."""
        return self.component(name).launch(name, extra)

    def needs(self, name: str) -> tuple[str, ...]:
        """The kinds of parts that must be ready before this one, as far as they are processes here."""
        kind = kind_of(name)
        return () if kind.name in self.independent else tuple(need for need in kind.needs if need in self.components)

    def probe(self, name: str) -> Callable[[], Awaitable[bool]]:
        """What asks whether a store answers. Call this on a thread: the clients take a second to import."""
        import_probes()
        return self.component(name).answers


def api_host(layout: Layout) -> str:
    """The address that the API listens on: loopback, unless the deployment keeps PAVO_HOST."""
    kept = kept_settings.load(layout)
    return (kept.values.get(setting_rules.HOST) if kept else None) or LOOPBACK


def api_address(host: str, port: int) -> str:
    """host:port at which this machine reaches an API that listens on this address."""
    if setting_rules.is_wildcard(host):
        host = LOOPBACK
    return f"[{host}]:{port}" if ":" in host and not host.startswith("[") else f"{host}:{port}"


def local_urls(api: str, temporal_ui: str, gateway: GatewayPlace | None = None) -> Urls:
    """Where people, and remote agents, find things on this machine.

    Args:
        api: host:port of the API.
    """
    api = f"http://{api}"
    agents = (gateway.url, gateway.ca) if gateway is not None else ("", "")
    return Urls(api, f"{api}/", f"{api}/docs", temporal_ui, *agents)


def addresses_of(database_url: str, redis_url: str, temporal: str) -> dict[str, str]:
    """How clients reach the stores; every stack on this machine has the same namespace and task queue."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "TEMPORAL_ADDRESS": temporal,
        "TEMPORAL_NAMESPACE": "default",
        "TEMPORAL_TASK_QUEUE": "orchestrator",
    }


def pavo_environment(
    environment: Mapping[str, str],
    options: LocalOptions,
    ports: StackPorts,
    session_key: str,
    host: str = LOOPBACK,
) -> dict[str, str]:
    """What `pavo api` and `pavo worker` are started with."""
    return {
        **environment,
        "PAVO_HOST": host,
        "PAVO_PORT": str(ports.api),
        "PAVO_SECRET_KEY": session_key,
        "PAVO_TEMPORAL_UI_URL": f"http://{on_loopback(ports.temporal_ui)}",
        "PAVO_SHARE_PORT": str(options.apis > 1).lower(),
        "PAVO_ALLOW_FILE_ORIGIN": str(options.allow_file_origin).lower(),
    }
