"""The compose target: a folder with compose.yaml, its secrets and its scripts."""

import re
import secrets
from base64 import b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from math import ceil
from pathlib import Path

from pavo import __version__
from pavo.config import DatabaseSettings
from pavo.deploy.local.machine.ports import LOOPBACK
from pavo.deploy.model.compatibility import matrix, parse
from pavo.deploy.model.layout import write_private
from pavo.deploy.model.parts import PARTS, connections
from pavo.deploy.model.setting_rules import STACKS_OWN
from pavo.deploy.orchestrated import compose_tls
from pavo.deploy.orchestrated.compose_gateway import IN_CONTAINER, ComposeGateway
from pavo.deploy.orchestrated.images import images
from pavo.errors import ConfigurationError
from pavo.temporal.search_attributes import TYPES

ASSETS = files("pavo.deploy") / "assets" / "compose"
MISSING = "pavo deploy start --target compose writes it into .env"
SECRETS = (
    "POSTGRES_PASSWORD",
    "PAVO_DATABASE_PASSWORD",
    "TEMPORAL_DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "PAVO_SECRET_KEY",
    "PAVO_SEALING_KEY",
)
MAX_SHARDS = 16_384
TEMPORAL_CONNECTIONS, VISIBILITY_CONNECTIONS = 20, 5
TEMPORAL_SERVICES = 4
"""Frontend, history, matching and worker, each with connections of its own, in one process."""
SPARE_CONNECTIONS = 30
"""For people, for backups, and for a worker that begins while another one ends."""
POOL: int = DatabaseSettings.model_fields["pool_size"].default
LAST_OLD_MOUNT = 17
"""PostgreSQL's images before 18 want their volume one folder deeper."""
OWN_SETTINGS = """\
# Settings of your own for API, workers and gateway, one NAME=value a line (docs/configuration.md): keys of language
# models, PAVO_PUBLIC_HOSTS, PAVO_GATEWAY_NAMES, PAVO_TEMPORAL_CODEC_KEY, … Pavo wrote this once and never touches it
# again.
"""
PROJECT_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
NAMESPACE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
TEMPORAL_IMAGE = re.compile(r"image: \"[^\"\s]*/server:(\d+\.\d+\.\d+)\"")
TOLD = re.compile(r'^ +(PAVO_\w+): *"?([^"$\n]+)"?$', re.MULTILINE)
"""What the file itself tells API and workers."""
PLACEHOLDER = re.compile(r"\{\{(\w+)(?::([\w-]+))?\}\}")


@dataclass(frozen=True, slots=True)
class ComposeOptions:
    """What people choose."""

    project: str = "pavo"
    """Docker's name for all of it: containers, networks and volumes begin with it."""
    port: int = 8000
    ui_port: int = 8080
    gateway: ComposeGateway = field(default_factory=ComposeGateway)
    bind: str = LOOPBACK
    """The host's address that the API and Temporal's UI are published on."""
    workers: int = 1
    temporal: str = field(default_factory=lambda: matrix().pins.temporal)
    """Exact version of Temporal's server."""
    postgres: int = 18
    """PostgreSQL's major."""
    image: str = f"pavo:{__version__}"
    source: Path | None = None
    """A checkout to build the image from; without one it is pulled."""
    namespace: str = "default"
    shards: int = 64
    """Of Temporal's history; never changed in a database. Temporal's default of 4 bounds how much runs at once."""
    retention_days: int = 30
    search_attributes: Mapping[str, str] = field(default_factory=lambda: TYPES)
    """Name to type, like `Keyword`; Pavo's own by default."""
    worker_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """More for the workers, like their build id."""
    tls: bool = False
    """Mutual TLS with Temporal, by certificates that `compose_tls.write_certificates` puts beside the file."""
    images: Mapping[str, str] = field(default_factory=dict[str, str])
    """Other references by name (`postgres`, `redis`, `temporal`, `admin_tools`, `temporal_ui`), say with a digest."""


def checkout() -> Path | None:
    """The checkout that this package runs from, which has the Dockerfile; None when it was installed."""
    root = Path(__file__).resolve().parents[4]
    return root if (root / "Dockerfile").exists() else None


def render(options: ComposeOptions) -> dict[str, str]:
    """Every file by its path in the folder. Secrets are fresh each time; `write` keeps those that are there.

    Raises:
        ConfigurationError: an option has a value that cannot work.
    """
    _check(options)
    generated = {name: secrets.token_urlsafe(48 if name == "PAVO_SECRET_KEY" else 24) for name in SECRETS}
    generated["PAVO_SEALING_KEY"] = b64encode(secrets.token_bytes(32)).decode()
    facts = {"TEMPORAL_HISTORY_SHARDS": str(options.shards), "POSTGRES_MAJOR": str(options.postgres)}
    return {
        "compose.yaml": _compose(options),
        ".env": "".join(f"{name}={value}\n" for name, value in (generated | facts).items()),
        "pavo.env": OWN_SETTINGS,
        "dynamicconfig/pavo.yaml": _asset("dynamicconfig.yaml"),
        "scripts/databases.sql": _asset("databases.sql"),
        "scripts/temporal-schema.sh": _asset("temporal-schema.sh"),
        "scripts/temporal-namespace.sh": _asset("temporal-namespace.sh"),
    }


def write(options: ComposeOptions, folder: Path) -> list[Path]:
    """Write what is new or changed; answers those files. Secrets that are there stay, missing ones are added.

    Raises:
        ConfigurationError: an option has a value that cannot work, the folder's data are of another PostgreSQL major or
            number of shards, or Temporal would go back or pass over a minor.
    """
    wanted = render(options)
    kept = read_env(folder)
    _check_fixed(options, kept, folder)
    _check_step(options, folder)
    wanted[".env"] = _with_missing(folder / ".env", read_env_text(wanted[".env"]), kept)
    return [folder / name for name, text in wanted.items() if _write(folder / name, text)]


def changes(options: ComposeOptions, folder: Path) -> dict[str, str]:
    """What `write` would do to which file: new, changed or kept; nothing is written."""
    found: dict[str, str] = {}
    for name, text in render(options).items():
        file = folder / name
        if not file.exists():
            found[name] = "new"
        else:
            found[name] = "kept" if name in (".env", "pavo.env") or file.read_text() == text else "changed"
    return found


def settings(options: ComposeOptions, folder: Path) -> dict[str, str]:
    """What holds once the files are written: what compose.yaml tells, before .env, before pavo.env."""
    wanted = render(options)
    told = {name: text for name, text in TOLD.findall(wanted["compose.yaml"]) if name not in STACKS_OWN | IN_CONTAINER}
    return {**read_own(folder), **read_env_text(wanted[".env"]), **read_env(folder), **told}


def read_env(folder: Path) -> dict[str, str]:
    """What .env says; empty where there is none."""
    file = folder / ".env"
    return read_env_text(file.read_text()) if file.exists() else {}


def read_own(folder: Path) -> dict[str, str]:
    """What people wrote into pavo.env; empty where there is none."""
    file = folder / "pavo.env"
    written = read_env_text(file.read_text()) if file.exists() else {}
    return {name: value.strip("\"'") for name, value in written.items()}


def read_env_text(text: str) -> dict[str, str]:
    """NAME=value lines."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _with_missing(file: Path, fresh: Mapping[str, str], kept: Mapping[str, str]) -> str:
    """The file as it is, and at its end what it lacks."""
    present = file.read_text() if file.exists() else ""
    if present and not present.endswith("\n"):
        present += "\n"
    return present + "".join(f"{name}={value}\n" for name, value in fresh.items() if not kept.get(name))


def _write(file: Path, text: str) -> bool:
    private = file.suffix == ".env" or file.name == ".env"
    if file.exists() and (file.name == "pavo.env" or file.read_text() == text):
        return False
    file.parent.mkdir(parents=True, exist_ok=True)
    if private:
        write_private(file, text)
    else:
        file.write_text(text)
        file.chmod(0o644)  # whatever our umask is: users inside the containers read them
        if file.parent.name in ("scripts", "dynamicconfig"):
            file.parent.chmod(0o755)
    return True


def _check(options: ComposeOptions) -> None:
    if not PROJECT_NAME.fullmatch(options.project):
        raise ConfigurationError(
            f"{options.project!r} is no name for a project.",
            field="project",
            remedy="Use small letters, digits, - and _, and begin with a letter or a digit.",
        )
    if options.workers < 1:
        raise ConfigurationError("A stack needs at least one worker.", field="--workers", remedy="Pass 1 or more.")
    if not NAMESPACE_NAME.fullmatch(options.namespace):
        raise ConfigurationError(
            f"{options.namespace!r} is no name for a namespace.",
            field="namespace",
            remedy="Use letters, digits, dots, - and _.",
        )
    if not 1 <= options.shards <= MAX_SHARDS:
        raise ConfigurationError(f"{options.shards} is no number of shards.", field="--shards", remedy="64 is usual.")
    if options.retention_days < 1:
        raise ConfigurationError("Temporal keeps workflows for a day at least.", field="retention_days")
    _check_ports(options)


def _check_ports(options: ComposeOptions) -> None:
    for name, port in (("--port", options.port), ("ui_port", options.ui_port)):
        if not 0 < port < 65536:
            raise ConfigurationError(f"{port} is no port.", field=name, remedy="Pass 1 to 65535.")
    if options.port == options.ui_port:
        raise ConfigurationError("API and Temporal's UI want the same port.", field="--port")
    if options.gateway.port in (options.port, options.ui_port):
        raise ConfigurationError(
            "The gateway wants a port that the API or Temporal's UI has.",
            field="PAVO_GATEWAY_PORT",
            remedy="Write another one into pavo.env, or pass another --port.",
        )


def _check_fixed(options: ComposeOptions, kept: Mapping[str, str], folder: Path) -> None:
    wanted = {"POSTGRES_MAJOR": ("PostgreSQL", options.postgres), "TEMPORAL_HISTORY_SHARDS": ("shards", options.shards)}
    for name, (what, value) in wanted.items():
        old = kept.get(name) or str(value)
        if old != str(value):
            raise ConfigurationError(
                f"The data of {folder} were made with {what} {old}; with {value} they cannot be read.",
                field="--postgres-version" if name == "POSTGRES_MAJOR" else "--shards",
                remedy=f"Keep {old}; or back up, and start in a new folder (docs/deployment-compose.md).",
            )


def _check_step(options: ComposeOptions, folder: Path) -> None:
    """Temporal goes up one minor at a time, and its schema has no way down."""
    file = folder / "compose.yaml"
    found = TEMPORAL_IMAGE.search(file.read_text()) if file.exists() else None
    if found is None:
        return
    old, new = parse(found.group(1)), parse(options.temporal)
    if old[:2] <= new[:2] and old[0] == new[0] and new[1] - old[1] <= 1:
        return
    back = new[:2] < old[:2]
    raise ConfigurationError(
        f"Temporal {found.group(1)} cannot become {options.temporal}: "
        + ("its schema has no way back." if back else "it goes up one minor at a time."),
        field="--temporal-version",
        remedy="Restore the backup from before." if back else f"First go to a release of {old[0]}.{old[1] + 1}.",
    )


TLS_PIECES: Mapping[str, Callable[[str], str]] = {
    "tls_environment": lambda service: compose_tls.environment(service, 2 if service == "pavo" else 6),
    "tls_mount": lambda service: f", {compose_tls.mount(service)}",
    "tls_volumes": compose_tls.volumes,
}
"""What a service gets at a place of the file, with TLS."""


def _compose(options: ComposeOptions) -> str:
    reserved = TEMPORAL_SERVICES * (TEMPORAL_CONNECTIONS + VISIBILITY_CONNECTIONS) + SPARE_CONNECTIONS
    chosen = images(options.temporal, options.postgres, options.images)
    values = {
        **{f"{name}_image": image for name, image in chosen.items()},
        "project": options.project,
        "image": options.image,
        "build": f'  build: {{context: "{options.source}", dockerfile: Dockerfile}}' if options.source else "",
        "missing": MISSING,
        "namespace": options.namespace,
        "retention": f"{options.retention_days * 24}h",
        "search_attributes": " ".join(f"{name}={kind}" for name, kind in options.search_attributes.items()),
        "worker_version": "\n".join(f'      {name}: "{text}"' for name, text in options.worker_environment.items()),
        "bind": options.bind,
        "port": str(options.port),
        "ui_port": str(options.ui_port),
        "workers": str(options.workers),
        **options.gateway.pieces(tls=options.tls),
        "temporal_health": compose_tls.TLS_HEALTH if options.tls else compose_tls.PLAIN_HEALTH,
        "connections": str(reserved + connections(POOL, apis=1, workers=options.workers)),
        "temporal_connections": str(TEMPORAL_CONNECTIONS),
        "visibility_connections": str(VISIBILITY_CONNECTIONS),
        "postgres_major": str(options.postgres),
        "postgres_mount": "/var/lib/postgresql" + ("/data" if options.postgres <= LAST_OLD_MOUNT else ""),
    }

    def fill(found: re.Match[str]) -> str:
        what, part = found.groups()
        if part is None:
            return values[what]
        if what in TLS_PIECES:
            return TLS_PIECES[what](part) if options.tls else ""
        kind = PARTS[part]
        if what == "drain":
            return f"{ceil(kind.drain_seconds)}s"
        # In a block, so that one-shots can stand beside them.
        return "\n      ".join(f"{need}: {{condition: service_healthy}}" for need in kind.needs)

    text = PLACEHOLDER.sub(fill, _asset("compose.yaml"))
    return re.sub(r"\n\n(?=  init:|    stop_grace)", "\n", text)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text()
