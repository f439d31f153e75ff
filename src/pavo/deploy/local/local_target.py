"""A target on this machine: the components behind the parts, and how clients reach them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from pavo.deploy.local.components.base import Component, Options, at
from pavo.deploy.local.machine.ports import LOOPBACK, free_port, next_free
from pavo.deploy.local.machine.processes import Launch
from pavo.deploy.model.parts import kind_of
from pavo.deploy.model.state import Urls


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


@dataclass(frozen=True, slots=True)
class Target:
    """What the supervisor runs.

    `components` has one entry for each kind of part that is a process here; `environment` tells clients how to reach
    the stores (DATABASE_URL and so on, with passwords).
    """

    name: str
    """embedded or native."""
    options: Options
    components: Mapping[str, Component]
    environment: dict[str, str]
    urls: Urls
    versions: Mapping[str, str]
    """What runs, by kind of part, for people."""
    before: Callable[[], None] = lambda: None
    """Called on a thread before anything is started: what outside services need."""
    independent: frozenset[str] = frozenset()
    """Kinds that need nothing here, whatever the model says: the development server brings its own store."""

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
        """Asks whether a store answers. On a thread: its clients take a second to import, in which the stores start."""
        from pavo.deploy.local.components import probes  # noqa: F401  # pyright: ignore[reportUnusedImport]

        return self.component(name).answers


def urls(api_port: int, temporal_ui: str) -> Urls:
    """Where people find things on this machine."""
    api = f"http://{LOOPBACK}:{api_port}"
    return Urls(api, f"{api}/", f"{api}/docs", temporal_ui)


def own_environment(environment: Mapping[str, str], options: Options, ports: Ports, session_key: str) -> dict[str, str]:
    """What `pavo api` and `pavo worker` are started with."""
    return {
        **environment,
        "PAVO_HOST": LOOPBACK,
        "PAVO_PORT": str(ports.api),
        "PAVO_SECRET_KEY": session_key,
        "PAVO_TEMPORAL_UI_URL": f"http://{at(ports.temporal_ui)}",
        "PAVO_SHARE_PORT": str(options.apis > 1).lower(),
        "PAVO_ALLOW_FILE_ORIGIN": str(options.allow_file_origin).lower(),
    }
