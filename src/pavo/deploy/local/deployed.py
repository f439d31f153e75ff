"""What was deployed on this machine, for whoever works on an existing deployment."""

from pavo.deploy.local.components.dev_server import dev_server_versions
from pavo.deploy.model import deployment as deployments
from pavo.deploy.model.deployment import Deployment, TargetName
from pavo.deploy.model.layout import Layout
from pavo.errors import ConfigurationError

LOCAL = (TargetName.EMBEDDED, TargetName.NATIVE)
"""The targets that run on this machine, as processes."""


def must_be_here(layout: Layout, *targets: TargetName) -> Deployment:
    """What was chosen for a deployment of this machine.

    Raises:
        ConfigurationError: there is none, or it is of another kind.
    """
    chosen = deployments.load(layout)
    if chosen is None and (layout.root / "postgres").exists():  # `pavo up` without options writes no deployment.json
        chosen = Deployment(target=TargetName.EMBEDDED)
    if chosen is None or chosen.target not in targets:
        raise ConfigurationError(
            f"There is no {' or '.join(targets)} deployment in {layout.root}.",
            field="--data-dir",
            remedy="Name its data directory; compose and kubernetes have their own ways, see docs/deployment.md.",
        )
    if chosen.target is TargetName.EMBEDDED:  # its server is the wheel's, whatever was pinned at the first start
        return chosen.model_copy(update={"temporal_version": dev_server_versions()[0] or chosen.temporal_version})
    return chosen


def must_be_native(layout: Layout) -> Deployment:
    """What was chosen for a native deployment.

    Raises:
        ConfigurationError: there is none here.
    """
    return must_be_here(layout, TargetName.NATIVE)
