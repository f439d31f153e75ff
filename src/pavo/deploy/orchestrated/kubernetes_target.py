"""A release of Pavo's chart in a cluster, as one of the targets that others run."""

from dataclasses import replace
from pathlib import Path

from pavo.deploy.model.deployment import Deployment
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.parts import PAVOS_OWN, PlannedPart
from pavo.deploy.orchestrated import helm, kubernetes
from pavo.deploy.orchestrated.kubernetes import KubernetesOptions
from pavo.deploy.orchestrated.outside_programs import Show
from pavo.deploy.orchestrated.target_interface import RunningPart, remove_folder, shown_changes

LEAST_APIS = 2
"""In a cluster, so that a drained node is no outage; a values file may say otherwise."""


def kubernetes_options(layout: Layout, chosen: Deployment, values_files: tuple[Path, ...]) -> KubernetesOptions:
    """What was chosen, for Helm: mostly files of values, which are remembered with the release's place."""
    known = (
        KubernetesOptions(values_files=values_files)
        if values_files
        else kubernetes.installed(layout.root / "kubernetes")
    )
    return replace(known, apis=max(chosen.apis, LEAST_APIS), workers=chosen.workers)


class KubernetesTarget:
    """A release of the chart in a cluster."""

    def __init__(self, options: KubernetesOptions, folder: Path) -> None:
        self._options, self.folder = options, folder

    def plan(self) -> tuple[PlannedPart, ...]:
        """What the chart brings; everything else must be there already."""
        options = self._options
        image = f"{options.image}:{options.image_tag}"
        place = f"namespace {options.namespace}"
        return tuple(PlannedPart(name, image, place, "") for name in PAVOS_OWN)

    def changes(self) -> tuple[str, ...]:
        """Files, and what Helm does."""
        found = kubernetes.changes(self._options, self.folder)
        cluster = self._options.context or "the current context"
        return (
            *shown_changes(found, self.folder),
            f"helm upgrade --install {self._options.release} in {cluster}: migrates the database, then rolls the pods",
        )

    def settings(self) -> None:
        """The chart's values name Secrets and come in files of people's own: only Helm knows what they amount to."""

    def settings_place(self) -> str:
        """See `OrchestratedTarget`."""
        return "a file of the chart's values (--values)"

    def write(self) -> list[Path]:
        """See `OrchestratedTarget`."""
        return kubernetes.write(self._options, self.folder)

    def missing(self) -> str | None:
        """See `OrchestratedTarget`."""
        return helm.check_helm(self._options)

    def start(self) -> None:
        """See `OrchestratedTarget`."""
        helm.install_chart(self._options, self.folder)

    def status(self) -> list[RunningPart]:
        """See `OrchestratedTarget`."""
        return [RunningPart(pod.name, pod.phase, pod.ready, pod.restarts) for pod in helm.status(self._options)]

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
        remove_folder(self.folder)
