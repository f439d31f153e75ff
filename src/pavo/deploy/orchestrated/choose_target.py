"""Which of the targets that others run is a deployment's.

Its files are in a folder of the data directory, so that every later command finds them."""

from pathlib import Path

from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.deploy.orchestrated.compose_target import ComposeTarget, compose_options
from pavo.deploy.orchestrated.kubernetes_target import KubernetesTarget, kubernetes_options
from pavo.deploy.orchestrated.target_interface import OrchestratedTarget
from pavo.errors import ConfigurationError


def orchestrated_target(layout: Layout, chosen: Deployment, values_files: tuple[Path, ...] = ()) -> OrchestratedTarget:
    """The target of a deployment.

    Args:
        values_files: for the chart; without, those of the last start.

    Raises:
        ConfigurationError: the target runs on this machine, or cannot work as it was chosen.
    """
    if chosen.target is TargetName.COMPOSE:
        options = compose_options(layout, chosen)
        own = options.gateway.certificates(layout, tls=options.tls)
        return ComposeTarget(options, layout.root / "compose", own)
    if chosen.target is TargetName.KUBERNETES:
        if chosen.tls:
            raise ConfigurationError(
                "In a cluster none of the servers are Pavo's, so their certificates are not either.",
                field="--tls",
                remedy="Name them in the chart's values: temporal.tls, and the URLs of PostgreSQL and Redis.",
            )
        return KubernetesTarget(kubernetes_options(layout, chosen, values_files), layout.root / "kubernetes")
    raise ConfigurationError(f"{chosen.target} runs on this machine.", field="--target")
