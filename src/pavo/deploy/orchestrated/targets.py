"""Targets that others run, Docker or Kubernetes, behind one face; what was chosen stays in a folder of the data
directory, so that every later command finds it."""

import hashlib
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from pavo.deploy.local.planning import PlannedPart
from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout, default_data_dir
from pavo.deploy.model.parts import PARTS, names_of
from pavo.deploy.orchestrated import compose, docker, helm, kubernetes
from pavo.deploy.orchestrated.compose import ComposeOptions
from pavo.deploy.orchestrated.images import images
from pavo.deploy.orchestrated.kubernetes import KubernetesOptions
from pavo.deploy.orchestrated.outside_programs import Show
from pavo.errors import ConfigurationError

UI_PORT, OTHER_UI_PORT = 8080, 8081
LEAST_APIS = 2
"""In a cluster, so that a drained node is no outage; a values file may say otherwise."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One line of a status."""

    name: str
    state: str
    ready: bool
    restarts: int | None
    """None where the target does not count them."""


class OrchestratedTarget(Protocol):
    """What commands ask of a target."""

    folder: Path

    def plan(self) -> tuple[PlannedPart, ...]:
        """What will be there."""
        ...

    def changes(self) -> tuple[str, ...]:
        """What writing and starting change."""
        ...

    def write(self) -> list[Path]:
        """Write the files; what is there already stays. That is all that a dry run does."""
        ...

    def missing(self) -> str | None:
        """Why it cannot be started from here; None when it can."""
        ...

    def start(self) -> None:
        """Start or update what was written, and wait until it is ready."""
        ...

    def status(self) -> list[Shown]:
        """Every container or pod."""
        ...

    def logs(self, part: str | None, *, follow: bool, lines: int, show: Show | None = None) -> int:
        """Pass logs on to our output, or each line's container or pod and text to `show`; an exit code."""
        ...

    def restart(self, part: str) -> None:
        """One part, or all of a kind."""
        ...

    def stop(self) -> None:
        """Drain and end everything; data stay."""
        ...

    def destroy(self) -> None:
        """Remove it with all data that are its own, and the folder."""
        ...


def orchestrated_target(layout: Layout, chosen: Deployment, values_files: tuple[Path, ...] = ()) -> OrchestratedTarget:
    """The target of a deployment.

    Args:
        values_files: for the chart; without, those of the last start.

    Raises:
        ConfigurationError: the target runs on this machine, or cannot work as it was chosen.
    """
    if chosen.target is TargetName.COMPOSE:
        return Compose(compose_options(layout, chosen), layout.root / "compose")
    if chosen.target is TargetName.KUBERNETES:
        return Kubernetes(kubernetes_options(layout, chosen, values_files), layout.root / "kubernetes")
    raise ConfigurationError(f"{chosen.target} runs on this machine.", field="--target")


def project_name(layout: Layout) -> str:
    """Docker's name for the stack of a data directory: two directories are two stacks."""
    if layout.root == default_data_dir():
        return "pavo"
    return f"pavo-{hashlib.sha256(str(layout.root.resolve()).encode()).hexdigest()[:8]}"


def compose_options(layout: Layout, chosen: Deployment) -> ComposeOptions:
    """What was chosen, for Docker."""
    if chosen.outside_postgres or chosen.outside_redis or chosen.apis > 1:
        raise ConfigurationError(
            "The compose target brings its own PostgreSQL and Valkey, and one API.",
            field="--target",
            remedy="Use --target native for outside stores and several APIs on one machine, or kubernetes.",
        )
    major = chosen.postgres_version.split(".")[0] or compose.read_env(layout.root / "compose").get("POSTGRES_MAJOR")
    return ComposeOptions(
        project=project_name(layout),
        port=chosen.port,
        ui_port=UI_PORT if chosen.port != UI_PORT else OTHER_UI_PORT,
        workers=chosen.workers,
        temporal=chosen.temporal_version,
        postgres=int(major or matrix().pins.postgres),
        shards=chosen.shards,
        retention_days=chosen.retention_days,
        source=compose.checkout(),
        worker_environment={"PAVO_WORKER_BUILD_ID": chosen.worker_build} if chosen.worker_build else {},
    )


def kubernetes_options(layout: Layout, chosen: Deployment, values_files: tuple[Path, ...]) -> KubernetesOptions:
    """What was chosen, for Helm: mostly files of values, which are remembered with the release's place."""
    known = (
        KubernetesOptions(values_files=values_files)
        if values_files
        else kubernetes.installed(layout.root / "kubernetes")
    )
    return replace(known, apis=max(chosen.apis, LEAST_APIS), workers=chosen.workers)


class Compose:
    """Containers of this machine's Docker engine."""

    def __init__(self, options: ComposeOptions, folder: Path) -> None:
        self._options, self.folder = options, folder

    def plan(self) -> tuple[PlannedPart, ...]:
        """Every part with its image, where it is published, and its volume."""
        options = self._options
        chosen = images(options.temporal, options.postgres, options.images)
        published = {
            "api": f"{options.bind}:{options.port}",
            "temporal-ui": f"{options.bind}:{options.ui_port}",
        }
        volumes = {"postgres": f"{options.project}_postgres-{options.postgres}", "redis": f"{options.project}_redis"}
        return tuple(
            PlannedPart(
                name,
                chosen.get(name.replace("-", "_"), options.image),
                published.get(name, "not published"),
                volumes.get(name, ""),
            )
            for name in names_of(PARTS, {"worker": options.workers})
        )

    def changes(self) -> tuple[str, ...]:
        """Files, and what Docker does."""
        found = compose.changes(self._options, self.folder)
        built = f"builds {self._options.image}" if self._options.source else f"pulls {self._options.image}"
        return (
            *_file_changes(found, self.folder),
            f"docker compose up: pulls images, {built}, starts what is not there",
        )

    def write(self) -> list[Path]:
        """See `OrchestratedTarget`."""
        return compose.write(self._options, self.folder)

    def missing(self) -> str | None:
        """See `OrchestratedTarget`."""
        return docker.check_docker()

    def start(self) -> None:
        """See `OrchestratedTarget`."""
        docker.up(self.folder)

    def status(self) -> list[Shown]:
        """See `OrchestratedTarget`."""
        return [
            Shown(one.name, one.health or f"{one.state} {one.exit_code}", one.ready, None)
            for one in docker.status(self.folder)
        ]

    def logs(self, part: str | None, *, follow: bool, lines: int, show: Show | None = None) -> int:
        """See `OrchestratedTarget`."""
        return docker.logs(self.folder, part, follow=follow, lines=lines, show=show)

    def restart(self, part: str) -> None:
        """See `OrchestratedTarget`."""
        docker.restart(self.folder, part)

    def stop(self) -> None:
        """See `OrchestratedTarget`."""
        docker.stop(self.folder)

    def destroy(self) -> None:
        """See `OrchestratedTarget`."""
        if (self.folder / "compose.yaml").exists():
            docker.down(self.folder, volumes=True)
        _remove(self.folder)


class Kubernetes:
    """A release of the chart in a cluster."""

    def __init__(self, options: KubernetesOptions, folder: Path) -> None:
        self._options, self.folder = options, folder

    def plan(self) -> tuple[PlannedPart, ...]:
        """What the chart brings; everything else exists before."""
        options = self._options
        image = f"{options.image}:{options.image_tag}"
        place = f"namespace {options.namespace}"
        return tuple(PlannedPart(name, image, place, "") for name in ("api", "worker"))

    def changes(self) -> tuple[str, ...]:
        """Files, and what Helm does."""
        found = kubernetes.changes(self._options, self.folder)
        cluster = self._options.context or "the current context"
        return (
            *_file_changes(found, self.folder),
            f"helm upgrade --install {self._options.release} in {cluster}: migrates the database, then rolls the pods",
        )

    def write(self) -> list[Path]:
        """See `OrchestratedTarget`."""
        return kubernetes.write(self._options, self.folder)

    def missing(self) -> str | None:
        """See `OrchestratedTarget`."""
        return helm.check_helm(self._options)

    def start(self) -> None:
        """See `OrchestratedTarget`."""
        helm.install(self._options, self.folder)

    def status(self) -> list[Shown]:
        """See `OrchestratedTarget`."""
        return [Shown(pod.name, pod.phase, pod.ready, pod.restarts) for pod in helm.status(self._options)]

    def logs(self, part: str | None, *, follow: bool, lines: int, show: Show | None = None) -> int:
        """See `OrchestratedTarget`."""
        return helm.logs(self._options, part, follow=follow, lines=lines, show=show)

    def restart(self, part: str) -> None:
        """See `OrchestratedTarget`."""
        helm.restart(self._options, part)

    def stop(self) -> None:
        """The chart keeps no data: it is uninstalled, and the next start installs it again."""
        helm.uninstall(self._options)

    def destroy(self) -> None:
        """See `OrchestratedTarget`."""
        helm.uninstall(self._options)
        _remove(self.folder)


def _file_changes(found: dict[str, str], folder: Path) -> list[str]:
    shown = [f"{what} file {folder / name}" for name, what in found.items() if what != "kept"]
    return shown if len(shown) <= 10 else [f"{len(shown)} files in {folder}, from {shown[0].split()[-1]}"]


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
