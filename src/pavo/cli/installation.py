"""Which installation a command works on: a stack of ours, or the services that the environment names."""

import os
from dataclasses import dataclass
from pathlib import Path

from temporalio.runtime import Runtime, TelemetryConfig

from pavo import config
from pavo.config import Settings
from pavo.deploy.certificates.parts import GATEWAY
from pavo.deploy.checks.gateway import GatewayReach
from pavo.deploy.local.deployed_settings import settings_of
from pavo.deploy.model import state
from pavo.deploy.model.layout import Layout
from pavo.deploy.model.state import StackState
from pavo.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Installation:
    """Settings that reach the services, and the stack that they belong to, if it is one of ours."""

    settings: Settings
    stack: StackState | None


def find_installation(data_dir: Path | None) -> Installation:
    """The stack of the data directory if one is named, else the environment's services, else the default stack's.

    Raises:
        ConfigurationError: none of them is there, or a variable is wrong.
    """
    _keep_output_clean()
    named = os.environ.get("DATABASE_URL") or os.environ.get("TEMPORAL_ADDRESS") or os.environ.get("TEMPORAL_TARGET")
    if data_dir is None and named:
        return Installation(config.load(), None)
    stack = state.running(data_dir)
    if stack is None:
        where = f"on {data_dir}" if data_dir else "here, and neither DATABASE_URL nor TEMPORAL_ADDRESS is set"
        raise ConfigurationError(
            f"No stack runs {where}.",
            field="--data-dir" if data_dir else "DATABASE_URL",
            remedy="Start one with pavo up, or set DATABASE_URL, REDIS_URL and TEMPORAL_ADDRESS.",
        )
    return Installation(settings_of(Layout(Path(stack.data_dir)), stack), stack)


def gateway_of(found: Installation, url: str | None, ca: Path | None) -> GatewayReach | None:
    """The gateway that is meant: the one at `url`, else the stack's own; None: none is known here, or runs there.

    Raises:
        ConfigurationError: the URL is none of a gateway, or there is no such file.
    """
    if ca is not None and not ca.is_file():
        raise ConfigurationError(f"There is no file {ca}.", field="--gateway-ca", remedy="Give the CA's certificate.")
    if url is not None:
        return GatewayReach.of(url, ca)
    if found.stack is None or not found.stack.urls.gateway:
        return None
    if not any(part.name == GATEWAY for part in found.stack.parts):
        return None  # only some parts of the stack were started
    own = Path(found.stack.urls.gateway_ca) if found.stack.urls.gateway_ca else None
    return GatewayReach.of(found.stack.urls.gateway, ca or own)


def _keep_output_clean() -> None:
    """Silence the SDK's core: it warns on standard output, where programs read our JSON."""
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)
