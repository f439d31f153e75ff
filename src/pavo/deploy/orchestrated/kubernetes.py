"""The kubernetes target: the Helm chart of API, workers and gateway, and the values for one installation."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, cast

from pavo import __version__
from pavo.errors import ConfigurationError, NotFound

CHART = files("pavo.deploy") / "charts" / "pavo"
INSTALLATION = "installation.json"
"""Which release in which namespace of which cluster the folder is."""


@dataclass(frozen=True, slots=True)
class WorkerBuild:
    """Workers of one build."""

    build_id: str
    image_tag: str = ""
    """Empty: the image of the installation."""
    replicas: int | None = None


@dataclass(frozen=True, slots=True)
class KubernetesOptions:
    """What people choose. Secrets are only named; they must exist in the namespace already."""

    temporal_address: str = ""
    """host:port of Temporal's frontend: its own chart's, or Temporal Cloud's. May stand in a values file instead."""
    release: str = "pavo"
    namespace: str = "pavo"
    """Of Kubernetes."""
    context: str = ""
    """Of kubectl's configuration; empty: the current one."""
    image: str = "pavo"
    """The image's repository."""
    image_tag: str = __version__
    temporal_namespace: str = "default"
    api_key_secret: str = ""
    """Temporal Cloud: a Secret with TEMPORAL_API_KEY."""
    database_secret: str = "pavo-database"
    redis_secret: str = "pavo-redis"
    session_secret: str = "pavo-session"
    apis: int = 2
    workers: int = 2
    worker_versions: tuple[WorkerBuild, ...] = ()
    """The newest first; older ones drain beside it."""
    keda: bool = False
    """Scale workers by the task queue's backlog."""
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """More of the chart's values; they win."""
    values_files: tuple[Path, ...] = ()
    """Files of values, which win over all others, the last one most."""


def values(options: KubernetesOptions) -> dict[str, Any]:
    """The chart's values for these options.

    Raises:
        ConfigurationError: an option has a value that cannot work; the chart's own schema finds the rest.
    """
    _check(options)
    chosen: dict[str, Any] = {
        "image": {"repository": options.image, "tag": options.image_tag},
        "temporal": {
            "address": options.temporal_address,
            "namespace": options.temporal_namespace,
            "apiKey": {"secretName": options.api_key_secret},
        },
        "database": {"secretName": options.database_secret},
        "redis": {"secretName": options.redis_secret},
        "session": {"secretName": options.session_secret},
        "api": {"replicas": options.apis},
        "worker": {"replicas": options.workers},
        "workerVersions": [_version(version) for version in options.worker_versions],
        "keda": {"enabled": options.keda},
    }
    return _merged(chosen, options.values)


def render(options: KubernetesOptions) -> dict[str, str]:
    """The chart and values.yaml, by path in the folder. JSON is YAML: any tool for the one reads the other."""
    found = {f"chart/{name}": text for name, text in _files(CHART)}
    found["values.yaml"] = json.dumps(values(options), indent=2) + "\n"
    for number, file in enumerate(options.values_files, 1):
        found[f"values-{number}.yaml"] = _read(file)
    place = {"release": options.release, "namespace": options.namespace, "context": options.context}
    found[INSTALLATION] = json.dumps({**place, "values_files": len(options.values_files)}, indent=2) + "\n"
    return found


def installed(folder: Path) -> KubernetesOptions:
    """Which installation a written folder belongs to, with its values files as they were written. Enough for every
    command but the one that writes it anew.

    Raises:
        NotFound: nothing was written there.
    """
    try:
        place = json.loads((folder / INSTALLATION).read_text())
    except FileNotFoundError:
        raise NotFound(
            f"There is no installation in {folder}.", remedy="Write it: pavo deploy start --target kubernetes"
        ) from None
    count = place.pop("values_files")
    return KubernetesOptions(**place, values_files=tuple(folder / f"values-{n}.yaml" for n in range(1, count + 1)))


def _read(file: Path) -> str:
    try:
        return file.read_text()
    except OSError as error:
        raise ConfigurationError(
            f"{file} cannot be read: {error.strerror}.", field="--values", remedy="Name a readable file of values."
        ) from error


def write(options: KubernetesOptions, folder: Path) -> list[Path]:
    """Write what is new or changed; answers those files."""
    written: list[Path] = []
    for name, text in render(options).items():
        file = folder / name
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            written.append(file)
    return written


def changes(options: KubernetesOptions, folder: Path) -> dict[str, str]:
    """What `write` would do to which file: new, changed or kept; nothing is written."""
    return {name: _change(folder / name, text) for name, text in render(options).items()}


def _change(file: Path, text: str) -> str:
    if not file.exists():
        return "new"
    return "kept" if file.read_text() == text else "changed"


def _files(folder: Traversable, path: str = "") -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for entry in sorted(folder.iterdir(), key=lambda one: one.name):
        name = f"{path}{entry.name}"
        found += _files(entry, f"{name}/") if entry.is_dir() else [(name, entry.read_text())]
    return found


def _version(version: WorkerBuild) -> dict[str, Any]:
    found: dict[str, Any] = {"buildId": version.build_id}
    if version.image_tag:
        found["image"] = {"tag": version.image_tag}
    if version.replicas is not None:
        found["replicas"] = version.replicas
    return found


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for name, value in above.items():
        old = merged.get(name)
        if isinstance(old, dict) and isinstance(value, Mapping):
            value = _merged(cast("dict[str, Any]", old), cast("Mapping[str, Any]", value))
        merged[name] = value
    return merged


def _check(options: KubernetesOptions) -> None:
    host, _, port = options.temporal_address.rpartition(":")
    elsewhere = options.values_files and not options.temporal_address
    if not elsewhere and (not host or not port.isdigit()):
        raise ConfigurationError(
            f"{options.temporal_address!r} is no address of a Temporal frontend.",
            field="--temporal",
            remedy="Give host:port, like temporal-frontend.temporal.svc.cluster.local:7233. Temporal comes by its own "
            "chart, or is Temporal Cloud (docs/deployment-kubernetes.md).",
        )
    if options.workers < 1 or options.apis < 1:
        raise ConfigurationError("One API and one worker at least.", field="--workers", remedy="Pass 1 or more.")
    ids = [version.build_id for version in options.worker_versions]
    if len(set(ids)) < len(ids):
        raise ConfigurationError(
            "Two worker versions have the same build id.", field="worker_versions", remedy="Name each build once."
        )
