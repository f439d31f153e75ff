"""Containers of this machine's Docker engine, as one of the targets that others run."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

from pavo.deploy.certificates.kept import Certificates
from pavo.deploy.certificates.parts import GATEWAY, TEMPORAL
from pavo.deploy.model.compatibility import matrix
from pavo.deploy.model.deployment import Deployment
from pavo.deploy.model.layout import Layout, default_data_dir
from pavo.deploy.model.parts import PARTS, PlannedPart, names_of
from pavo.deploy.orchestrated import compose, compose_tls, docker
from pavo.deploy.orchestrated.compose import ComposeOptions
from pavo.deploy.orchestrated.compose_gateway import ComposeGateway
from pavo.deploy.orchestrated.images import images
from pavo.deploy.orchestrated.outside_programs import Show
from pavo.deploy.orchestrated.target_interface import RunningPart, remove_folder, shown_changes
from pavo.errors import ConfigurationError

UI_PORT, OTHER_UI_PORT = 8080, 8081


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
        tls=chosen.tls,
        gateway=ComposeGateway.of(compose.read_own(layout.root / "compose")),
    )


class ComposeTarget:
    """Containers of this machine's Docker engine.

    Args:
        certificates: the deployment's own: with TLS of every part, else the gateway's; None where it needs none.
    """

    def __init__(self, options: ComposeOptions, folder: Path, certificates: Certificates | None = None) -> None:
        self._options, self.folder, self._certificates = options, folder, certificates

    def plan(self) -> tuple[PlannedPart, ...]:
        """Every part with its image, where it is published, and its volume."""
        options = self._options
        chosen = images(options.temporal, options.postgres, options.images)
        published = {
            "api": f"{options.bind}:{options.port}",
            "temporal-ui": f"{options.bind}:{options.ui_port}",
            "gateway": options.gateway.published,
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
            *shown_changes(found, self.folder),
            *self._tls_changes(),
            f"docker compose up: pulls images, {built}, starts what is not there",
        )

    def settings(self) -> dict[str, str]:
        """See `OrchestratedTarget`."""
        return compose.settings(self._options, self.folder)

    def settings_place(self) -> str:
        """See `OrchestratedTarget`."""
        return f"pavo.env in {self.folder}; secrets of the stores and PAVO_SECRET_KEY: .env there"

    def write(self) -> list[Path]:
        """See `OrchestratedTarget`. Certificates that end soon are replaced; Temporal takes its own as it runs."""
        written = compose.write(self._options, self.folder)
        if self._certificates is None:
            return written
        self._certificates.ensure(datetime.now(UTC))
        return [*written, *compose_tls.write_certificates(self._certificates, self.folder)]

    def _tls_changes(self) -> list[str]:
        if self._certificates is None:
            return []
        made = "" if self._certificates.trusted.exists() else f", made in {self._certificates.folder}"
        whose = " and ".join(part for part in (TEMPORAL, GATEWAY) if part in self._certificates.parts)
        return [
            f"TLS by certificates of the deployment's own CA{made}: {whose}; postgres and redis without, in their own "
            "network"
        ]

    def missing(self) -> str | None:
        """See `OrchestratedTarget`."""
        return docker.check_docker()

    def start(self) -> None:
        """See `OrchestratedTarget`."""
        docker.up(self.folder)

    def status(self) -> list[RunningPart]:
        """See `OrchestratedTarget`."""
        return [
            RunningPart(one.name, one.health or f"{one.state} {one.exit_code}", one.ready, None)
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
        remove_folder(self.folder)
        if self._certificates is not None:
            self._certificates.remove()
