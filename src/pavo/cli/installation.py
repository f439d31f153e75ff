"""Which installation a command works on: a stack of ours, or the services that the environment names."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporalio.runtime import Runtime, TelemetryConfig

from pavo import config
from pavo.config import Settings
from pavo.deploy.model import state
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
    return Installation(_of_stack(stack), stack)


def _keep_output_clean() -> None:
    """Silence the SDK's core: it warns on standard output, where programs read our JSON."""
    Runtime.set_default(Runtime(telemetry=TelemetryConfig(logging=None)), error_if_already_set=False)


def _of_stack(stack: StackState) -> Settings:
    """The environment's settings with the stack's addresses; the shell's own Temporal (its key, TLS) is left out."""
    settings, addresses = config.load(), stack.environment
    temporal: dict[str, Any] = {
        **dict.fromkeys(("api_key", "tls", "tls_ca", "tls_cert", "tls_key")),
        "address": addresses["TEMPORAL_ADDRESS"],
        "namespace": addresses["TEMPORAL_NAMESPACE"],
        "task_queue": addresses["TEMPORAL_TASK_QUEUE"],
        "database_url": addresses.get("PAVO_TEMPORAL_DATABASE_URL"),
    }
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"url": addresses["DATABASE_URL"]}),
            "redis": settings.redis.model_copy(update={"url": addresses["REDIS_URL"]}),
            "temporal": settings.temporal.model_copy(update=temporal),
            "http": settings.http.model_copy(update={"temporal_ui": stack.urls.temporal_ui}),
        }
    )
